package dunning_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/billing/dunning"
)

func TestScheme_IsReadAsProvidersNameIt(t *testing.T) {
	t.Parallel()
	for brand, want := range map[string]dunning.Scheme{
		"visa": dunning.Visa, "Visa": dunning.Visa, "mastercard": dunning.Mastercard, "MasterCard": dunning.Mastercard,
		"amex": dunning.Other, "other": dunning.Other, "": dunning.Other,
	} {
		if got := dunning.ParseScheme(brand); got != want {
			t.Errorf("%q is %s, want %s", brand, got, want)
		}
	}
}

func TestScheme_ThatIsNotKnownHasTheStrictestLimits(t *testing.T) {
	t.Parallel()
	for _, known := range []dunning.Scheme{dunning.Visa, dunning.Mastercard} {
		for _, l := range known.Limits() {
			if !slices.ContainsFunc(dunning.Other.Limits(), func(o dunning.Limit) bool { return o.Attempts <= l.Attempts && o.Within >= l.Within }) {
				t.Errorf("%v of %s holds for others neither", l, known)
			}
		}
	}
}

func TestLimits_NeedNoMoreAttemptsThanDecideAsksFor(t *testing.T) {
	t.Parallel()
	for _, s := range []dunning.Scheme{dunning.Visa, dunning.Mastercard, dunning.Other} {
		for _, l := range s.Limits() {
			if l.Attempts > dunning.MaxAttempts || l.Within > dunning.AttemptsWithin {
				t.Errorf("%s counts %d within %s", s, l.Attempts, l.Within)
			}
		}
	}
}

func TestEarliest_IsWhereTheLimitsFirstAllowAnother(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		h := dunning.History{Scheme: rapid.SampledFrom([]dunning.Scheme{dunning.Visa, dunning.Mastercard, dunning.Other}).Draw(t, "scheme")}
		for _, minute := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 40*24*60), rapid.IntRange(39*24*60, 40*24*60)), 0, 60).Draw(t, "attempts") {
			h.Attempts = append(h.Attempts, from.Add(time.Duration(minute)*time.Minute))
		}
		given := slices.Clone(h.Attempts)
		earliest := h.Scheme.Earliest(h.Attempts)
		if !slices.Equal(given, h.Attempts) {
			t.Fatal("the attempts were changed")
		}
		switch {
		case earliest.IsZero():
			if !inBudget(h, from.Add(40*24*time.Hour)) {
				t.Fatal("any time is too early")
			}
		case !inBudget(h, earliest) || inBudget(h, earliest.Add(-1)):
			t.Fatalf("%s is not where the budget opens", earliest)
		}
		slices.SortFunc(given, func(a, b time.Time) int { return b.Compare(a) })
		if got := h.Scheme.Earliest(given[:min(len(given), dunning.MaxAttempts)]); got != earliest {
			t.Fatalf("by the latest attempts it is %s, by all %s", got, earliest)
		}
	})
}
