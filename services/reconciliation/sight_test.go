package reconciliation

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

const (
	asNone     = reconciliationv1.BreakResolution_BREAK_RESOLUTION_UNSPECIFIED
	asMatched  = reconciliationv1.BreakResolution_BREAK_RESOLUTION_MATCHED
	asVanished = reconciliationv1.BreakResolution_BREAK_RESOLUTION_VANISHED
)

func (f *breakFixture) wantSeen(got, want seen) {
	f.Helper()
	if got != want {
		f.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSight_TheSameSightingIsTheSameBreak(t *testing.T) {
	f := setupBreaks(t)
	s, id := f.missing(1250)
	waiting := sighting{code: breaks.TimingOpen, ours: f.movements(1, true, 5), amount: gbp(-5)}
	f.wantSeen(f.sees(partition7, true, s, s, waiting), seen{opened: 1})
	before := scan[time.Time](f, `SELECT changed_at FROM break`)
	f.wantSeen(f.sees(partition7, true, s), seen{known: 1})
	if after := scan[time.Time](f, `SELECT changed_at FROM break`); !after.Equal(before) {
		t.Error("a break that is as it was is written again")
	}
	s.detail = `{"nearest": "b"}`
	f.wantSeen(f.sees(partition7, true, s), seen{known: 1})
	got := f.wantState(id, isOpen, asNone)
	if len(got.GetEvents()) != 2 || got.GetBreak().GetDetail() != s.detail || len(got.GetMovements()) != 1 || got.GetBreak().GetRunNumber() != 1 {
		t.Errorf("got %v", got)
	}
	if names := scan[string](f, `SELECT string_agg(entity || '.' || name, ' ' ORDER BY seq) FROM outbox`); names != "break.opened" {
		t.Errorf("events: %s", names)
	}
}

func TestSight_WhatIsNotSeenAnyMoreVanishesAndComesBack(t *testing.T) {
	f := setupBreaks(t)
	s, id := f.missing(1250)
	other, otherID := f.missing(99)
	f.sees(partition7, true, s)
	f.sees(watcher{name: "run", scope: "partition/8"}, true, other)
	f.wantSeen(f.sees(partition7, false), seen{})
	f.wantSeen(f.sees(watcher{name: "run"}, true), seen{})
	f.wantSeen(f.sees(partition7, true), seen{vanished: 1})
	f.wantState(id, isResolved, asVanished)
	f.wantState(otherID, isOpen, asNone)
	f.wantSeen(f.sees(partition7, true, s), seen{reopened: 1})
	got := f.wantState(id, isOpen, asNone)
	if len(got.GetEvents()) != 3 {
		t.Errorf("history: %v", got.GetEvents())
	}
	told := scan[string](f, `SELECT string_agg(concat_ws(' ', name, reference), ', ' ORDER BY seq) FROM outbox`)
	if told != "opened ord_1, opened ord_1, resolved ord_1, reopened ord_1" {
		t.Errorf("events: %s", told)
	}
}

func TestSight_WhatIsMatchedIsClosedAsMatched(t *testing.T) {
	f := setupBreaks(t)
	s, _ := f.missing(1250)
	s.ours = append(s.ours, f.movements(1, true, 7)...)
	id := BreakID(s.id()).String()
	f.sees(partition7, true, s)
	f.exec(`INSERT INTO match_pair (match_id, ours_id, partition_id, pass) VALUES (1, $1, 1, 1)`, s.ours[0].id)
	f.sees(partition7, true)
	f.wantState(id, isResolved, asVanished) // one of two only
	f.sees(partition7, true, s)
	f.exec(`INSERT INTO match_pair (match_id, number, ours_id, partition_id, pass) VALUES (1, 2, $1, 1, 1)`, s.ours[1].id)
	f.sees(partition7, true)
	f.wantState(id, isResolved, asMatched)
}

func TestSight_WhatIsMatchedNeverthelessStaysUntilAPersonEndsIt(t *testing.T) {
	f := setupBreaks(t)
	s, _ := f.missing(1250)
	s.code, s.matched = breaks.FeeVariance, true
	id := BreakID(s.id()).String()
	f.sees(partition7, true, s)
	f.wantSeen(f.sees(partition7, true), seen{})
	f.wantState(id, isOpen, asNone)
	f.must(f.ann, id, verb(accept))
	if active, open := f.legs(id); active != 0 || open != 1 {
		t.Errorf("%d legs, %d open movements; its movements are the run's", active, open)
	}
}

func TestSight_WhatAPersonHasEndedStaysEnded(t *testing.T) {
	f := setupBreaks(t)
	s, id := f.missing(1250)
	f.sees(partition7, true, s)
	f.must(f.ann, id, verb(accept))
	s.detail = `{"other": 1}`
	f.wantSeen(f.sees(partition7, true, s), seen{known: 1})
	if got := f.wantState(id, isResolved, reconciliationv1.BreakResolution_BREAK_RESOLUTION_ACCEPTED); len(got.GetEvents()) != 2 {
		t.Errorf("history: %v", got.GetEvents())
	}
}

// However many breaks there are, looking at them again costs seconds at most.
func TestSight_TakesTwentyThousandAtOnce(t *testing.T) {
	f := setupBreaks(t)
	all := make([]sighting, 0, 20_000)
	for i, m := range f.movements(20_000, true, 100) {
		all = append(all, sighting{
			code: breaks.MissingAtProvider, ours: []sighted{m}, account: "default", amount: gbp(-100), orderID: fmt.Sprint("ord_", i),
		})
	}
	timed := func(what string, want seen, do func() seen) {
		t.Helper()
		begun := time.Now()
		f.wantSeen(do(), want)
		t.Logf("%s: %s", what, time.Since(begun).Round(time.Millisecond))
	}
	timed("opened", seen{opened: 20_000}, func() seen { return f.sees(partition7, true, all...) })
	timed("seen again", seen{known: 20_000}, func() seen { return f.sees(partition7, true, all...) })
	timed("half vanished", seen{known: 10_000, vanished: 10_000}, func() seen { return f.sees(partition7, true, all[:10_000]...) })
	timed("seen again", seen{known: 10_000, reopened: 10_000}, func() seen { return f.sees(partition7, true, all...) })
	if n := scan[int64](f, `SELECT count(*) FROM break_event`); n != 40_000 {
		t.Errorf("%d events of histories, want 40000", n)
	}
	if n := scan[int64](f, `SELECT count(*) FROM outbox`); n != 40_000 {
		t.Errorf("%d events, want 40000", n)
	}
}

func TestSight_OfAFileHasNoMovements(t *testing.T) {
	f := setupBreaks(t)
	s := sighting{code: breaks.BatchControl, subject: "sha256:1", detail: `{"proof": "closing"}`}
	f.wantSeen(f.sees(watcher{name: "import"}, false, s), seen{opened: 1})
	id := BreakID(s.id()).String()
	if got := f.wantState(id, isOpen, asNone); got.GetBreak().GetAmount() != nil || got.GetBreak().GetSubject() != s.subject {
		t.Errorf("got %v", got)
	}
	f.must(f.ann, id, verb(accept))
	f.wantState(id, isResolved, reconciliationv1.BreakResolution_BREAK_RESOLUTION_ACCEPTED)
}

func TestHistory_IsNeverChanged(t *testing.T) {
	f := setupBreaks(t)
	f.broken(5)
	for _, sql := range []string{`UPDATE break_event SET actor = 'x'`, `DELETE FROM break_event`, `TRUNCATE break_event`} {
		if _, err := f.db.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s is not refused", sql)
		}
	}
	if scan[uuid.UUID](f, `SELECT break_id FROM break_event`) == uuid.Nil {
		t.Error("the event is gone")
	}
}
