package reconciliation

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// brokenOrder is the break of an order.
func (f *tiesFixture) repair(ctx context.Context, b brokenThing) (string, error) {
	return f.ties.repairers()[b.code](ctx, &b)
}

func brokenOrder(s *story) brokenThing {
	return brokenThing{breakID: id.New[breakKind](), key: "break/" + uuid.NewString() + "/1", code: breaks.SagaDivergence, subject: s.subject, orderID: s.subject, paymentID: s.paymentID}
}

func TestRepair_DoesWhatTheRuleAsksForOnce(t *testing.T) {
	tests := []struct {
		name  string
		story func(*business) *story
		did   []string
		what  string
	}{
		{"parked, paid and not shipped", func(b *business) *story { return b.place(500).reserve().capture().end("parked") },
			[]string{"retry"}, "the saga was told to go on"},
		{"money kept", func(b *business) *story { return b.place(500).reserve().capture().release().end("compensated") },
			[]string{"refund"}, "the payment was refunded"},
		{"money set aside", func(b *business) *story { return b.place(500).reserve().authorize().release().end("compensated") },
			[]string{"void"}, "the payment was voided"},
		{"shipped and paid", func(b *business) *story { return b.place(500).reserve().capture().ship().release().end("compensated") },
			[]string{"refund", "cancel"}, "the payment was refunded; the shipment was cancelled"},
	}
	for _, fault := range []string{"", "failed, not applied", "failed, but applied"} {
		for _, tt := range tests {
			t.Run(strings.TrimSpace(tt.name+" "+fault), func(t *testing.T) {
				f := setupTies(t)
				s := tt.story(f.business)
				f.tell(s.events...)
				f.look(2 * time.Minute)
				f.wantState(s, "sighted")
				failed := false
				f.trouble = func(_ string, applied bool) error {
					if fault == "" || failed || applied != (fault == "failed, but applied") {
						return nil
					}
					failed = true
					return lost()
				}
				b := brokenOrder(s)
				what, err := f.repair(t.Context(), b)
				if (err != nil) != (fault != "") || rpcerr.Is(err, rpcerr.BreakNotRepairable) {
					t.Fatalf("repaired by %q: %v", what, err)
				}
				if err != nil {
					if what, err = f.repair(t.Context(), b); err != nil && !rpcerr.Is(err, rpcerr.BreakNotRepairable) { // the saga may go on by now
						t.Fatal(err)
					}
				}
				if err == nil && fault == "" {
					wantWords(t, "what was done", what, tt.what)
				}
				if diff := cmp.Diff(tt.did, f.did); diff != "" {
					t.Errorf("done (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestRepair_IsSeenToHaveWorked(t *testing.T) {
	f := setupTies(t)
	s := f.place(500).reserve().capture().release().end("compensated")
	f.tell(s.events...)
	f.look(2 * time.Minute)
	b := brokenOrder(s)
	if _, err := f.repair(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.book(2, s, -500, "re_1", "key of re_1")
	f.look(2 * time.Minute)
	f.wantState(s, "tied")
	if len(f.open) > 0 {
		t.Errorf("sighted %v", f.open)
	}
	if what, err := f.repair(t.Context(), b); err != nil || !strings.Contains(what, "ties") {
		t.Errorf("repaired again by %q: %v", what, err)
	}
}

func TestRepair_RefusesWhatNeedsAPerson(t *testing.T) {
	f := setupTies(t)
	ended := f.place(500).reserve().end("compensated")
	running := f.place(500).reserve().capture()
	for name, b := range map[string]brokenThing{
		"a stock that nobody can release": brokenOrder(ended), "an order that goes on": brokenOrder(running),
		"no order":            {code: breaks.SagaDivergence, subject: "provider_clearing/GBP"},
		"no payment":          {code: breaks.StateConflict},
		"nothing in doubt":    {code: breaks.UnknownResolved, paymentID: "pay_1"},
		"a payment as it was": {code: breaks.MissingAtProvider, paymentID: f.sell(500).paymentID},
	} {
		if what, err := f.repair(t.Context(), b); !rpcerr.Is(err, rpcerr.BreakNotRepairable) {
			t.Errorf("%s: repaired by %q, %v", name, what, err)
		}
	}
	if len(f.did) > 0 {
		t.Errorf("done: %v", f.did)
	}
}

func TestRepair_AConflictIsAskedAboutAndItsSagaGoesOn(t *testing.T) {
	f := setupTies(t)
	s := f.place(500).reserve().doubt()
	s.end("parked")
	what, err := f.repair(t.Context(), brokenThing{breakID: id.New[breakKind](), key: "break/" + uuid.NewString() + "/1", code: breaks.StateConflict, paymentID: s.paymentID})
	if err != nil || !strings.Contains(what, "the payment is captured") || !strings.Contains(what, "told to go on") {
		t.Errorf("repaired by %q: %v", what, err)
	}
	if s.saga.GetPhase() != sagav1.SagaPhase_SAGA_PHASE_RUNNING {
		t.Errorf("the saga is %s", s.saga.GetPhase())
	}
}

// onStatement has a statement name what is in doubt of a payment, by an id, and a run see it.
func (f *tiesFixture) onStatement(s *story, minor int64, providerID string) {
	f.Helper()
	ours := pgtest.Column[int64](f.T, f.db, `SELECT id FROM movement WHERE payment_id = $1 AND standing = 1`, s.paymentID)[0]
	theirs := pgtest.Column[int64](f.T, f.db, `
WITH d AS (INSERT INTO delivery (kind, state, rows) VALUES (1, 1, 1) RETURNING id)
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day, line, provider_id)
SELECT (d.id::bigint << 32) + 1, gen_random_uuid(), o.partition_id, false, 1, $2, current_date, 7, $3 FROM d CROSS JOIN movement o WHERE o.id = $1 RETURNING id`,
		ours, minor, providerID)[0]
	err := pg.InTx(f.Context(), f.db, func(tx *pg.Tx) error {
		_, err := f.sight(f.Context(), tx, watcher{name: "run", scope: "partition/1"}, 1, []sighting{{
			code: breaks.UnknownResolved, amount: money.Amount{Currency: "GBP"},
			ours: []sighted{{id: ours, key: uuid.New()}}, theirs: []sighted{{id: theirs, key: uuid.New()}},
		}}, false)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

func (f *tiesFixture) prove() {
	f.Helper()
	if _, err := f.proveOnce(f.Context()); err != nil {
		f.Fatal(err)
	}
}

func TestProofs_ResolveWhatAStatementHas(t *testing.T) {
	f := setupTies(t)
	proven, parked := f.place(500).reserve().doubt(), f.bill(500).doubt()
	parked.end("parked")
	weak, other, nameless := f.place(500).doubt(), f.place(500).doubt(), f.place(500).doubt()
	for _, s := range []*story{proven, parked, weak, other, nameless} {
		f.tell(s.events...)
	}
	f.onStatement(proven, 500, "ch_1")
	f.onStatement(parked, 500, "ch_2")
	f.onStatement(other, 499, "ch_4")
	f.onStatement(nameless, 500, "")
	for range proofAttempts + 2 {
		f.prove()
		f.exec(`UPDATE doubt SET next_at = now() WHERE key <> (SELECT key FROM doubt WHERE payment_id = $1)`, proven.paymentID)
	}
	if diff := cmp.Diff([]string{"resolve", "resolve", "retry"}, f.did); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	failures := pgtest.Column[string](t, f.db, `SELECT attempts || ' ' || failure FROM doubt WHERE failure <> '' ORDER BY failure`)
	if len(failures) != 2 || !strings.HasPrefix(failures[0], "5 BREAK_NOT_REPAIRABLE: the statement does not name") ||
		!strings.HasPrefix(failures[1], "5 BREAK_NOT_REPAIRABLE: the statement says 499") {
		t.Errorf("failures: %q", failures)
	}
	// What a statement has not said anything of is not proven, whoever asks.
	if what, err := f.repair(t.Context(), brokenThing{breakID: id.New[breakKind](), key: "break/1/1", code: breaks.UnknownResolved, paymentID: weak.paymentID}); err == nil {
		t.Errorf("repaired by %q", what)
	}
	// When the payment tells, it is not in doubt any more.
	proven.resolve()
	f.tell(proven.events...)
	if open := pgtest.Column[int64](t, f.db, `SELECT count(*) FROM doubt WHERE NOT resolved AND payment_id = $1`, proven.paymentID)[0]; open > 0 {
		t.Error("it is still in doubt")
	}
}

func TestProofs_AreDoneOnceWhateverFails(t *testing.T) {
	for _, fault := range []string{"failed, not applied", "failed, but applied"} {
		t.Run(fault, func(t *testing.T) {
			f := setupTies(t)
			s := f.bill(500).doubt()
			s.end("parked")
			f.tell(s.events...)
			f.onStatement(s, 500, "ch_1")
			failures := 0
			f.trouble = func(_ string, applied bool) error {
				if failures < 2 && applied == (fault == "failed, but applied") {
					failures++
					return lost()
				}
				return nil
			}
			for range 4 {
				f.prove()
				f.exec(`UPDATE doubt SET next_at = now()`)
			}
			if diff := cmp.Diff([]string{"resolve", "retry"}, f.did); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
		})
	}
}
