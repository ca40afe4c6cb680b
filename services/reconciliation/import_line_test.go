package reconciliation

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
)

func TestPayoutIn_FindsTheOnlyPayoutThatALineNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line formats.Line
		want string
	}{
		"none":                          {formats.Line{Key: "E2E-1", Text: "rent for the depot, post office"}, ""},
		"of Stripe in the text":         {formats.Line{Text: "STRIPE PAYMENTS po_1Gl3vLHughnNhxyabc transfer"}, "po_1Gl3vLHughnNhxyabc"},
		"of the simulator in a key":     {formats.Line{Key: "po20260103eur"}, "po20260103eur"},
		"of a dispute":                  {formats.Line{Text: "PSPSIM DISPUTE dp000017eur ch_17"}, "dp000017eur"},
		"the same in two places":        {formats.Line{Key: "po20260103eur", Text: "PSPSIM PAYOUT po20260103eur"}, "po20260103eur"},
		"cut off, and whole behind it":  {formats.Line{Key: "po_1Gl3vLHughnNh", Text: "po_1Gl3vLHughnNhxyabc"}, "po_1Gl3vLHughnNhxyabc"},
		"whole, and cut off behind it":  {formats.Line{Key: "po_1Gl3vLHughnNhxyabc", Text: "po_1Gl3vLHughnNh"}, "po_1Gl3vLHughnNhxyabc"},
		"two":                           {formats.Line{Text: "po20260103eur and po20260104eur"}, ""},
		"part of another word":          {formats.Line{Text: "depo_123 expo20260103eur po20260103euro po_"}, ""},
		"what the format says it is":    {formats.Line{PayoutID: "p-1", Text: "po20260103eur"}, "p-1"},
		"punctuation around it is none": {formats.Line{Text: "(po20260103eur)/1"}, "po20260103eur"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := payoutIn(&test.line); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNoteOf_IsBoundedText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := formats.Line{Code: rapid.String().Draw(t, "code"), Text: strings.Repeat(rapid.String().Draw(t, "text"), 30), Party: string(rapid.SliceOf(rapid.Byte()).Draw(t, "party"))}
		note := noteOf(&l, stageBank)
		if len(note) > maxNote || !utf8.ValidString(note) || strings.Contains(note, "\x00") {
			t.Errorf("got %q", note)
		}
	})
}

func TestIdentity_IsThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t, Migrations()...)
	for _, parts := range [][]string{{"payout", "default", "po_1", "EUR"}, {"", "a", ""}, {"ü", "12"}, {"1:a"}} {
		want := pgtest.Column[uuid.UUID](t, db, `SELECT identity_of(VARIADIC $1::text[])`, parts)[0]
		got := new(identity).of(parts...).key()
		if got != want || got.Version() != 8 || got.Variant() != uuid.RFC4122 {
			t.Errorf("%q: got %s, want %s", parts, got, want)
		}
	}
	i := &identity{}
	if i.of("1", "-2").key() != i.of().number(1, -2).key() {
		t.Error("a number is not its text")
	}
	if i.of("ab", "c").key() == i.of("a", "bc").key() || occurrence(uuid.Nil, 1) == occurrence(uuid.Nil, 2) || occurrence(uuid.Max, 0) != uuid.Max {
		t.Error("what differs has the same key")
	}
}

func TestDayOf_IsTheCivilDay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), 0).UTC()
		if got, want := dayText(dayOf(at)), at.Format(time.DateOnly); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	if dayOf(time.Unix(-1, 0)) != -1 || dayOf(time.Unix(0, 0)) != match.Day(0) {
		t.Error("the days around 1970 are wrong")
	}
}
