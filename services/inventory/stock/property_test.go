package stock

import (
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// quantities are small ones, so that events fit together, and a few that reach for the limits.
func quantities() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(-1, 20), rapid.Int64Range(-1, 20), rapid.Int64Range(math.MaxInt64-20, math.MaxInt64))
}

func TestApply_KeepsEveryPieceInOnePlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var level Level
		moved := Totals{}
		for _, e := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) Event {
			return Event{"mug", EventType(rapid.IntRange(int(Received), int(Expired)).Draw(t, "type")), quantities().Draw(t, "quantity")}
		})).Draw(t, "events") {
			before := level
			var err error
			if level, err = level.Apply(e); err != nil {
				if level != before {
					t.Fatalf("%v was refused (%v) and changed %+v to %+v", e, err, before, level)
				}
				continue
			}
			moved[e.Type] += e.Quantity
			if sum := moved.Level("mug"); sum != level {
				t.Fatalf("after %v: %+v, and all added up %+v", e, level, sum)
			}
			if level.Available < 0 || level.Reserved < 0 || level.Shipped < 0 {
				t.Fatalf("%v made a negative level of %+v: %+v", e, before, level)
			}
			if got := level.Received(); got != moved[Received] || level.Shipped != moved[Committed] || level.Adjusted != moved[Adjusted] {
				t.Fatalf("after %v: %+v, want %d received, %d shipped and %d adjusted", e, level, moved[Received], moved[Committed], moved[Adjusted])
			}
		}
	})
}

func TestReserve_PromisesWhatCanBeRecordedAndNothingElse(t *testing.T) {
	t.Parallel()
	skus := rapid.SampledFrom([]string{"a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		levels := map[string]Level{}
		for _, sku := range []string{"a", "b", "c"} {
			levels[sku] = Level{SKU: sku, Available: rapid.Int64Range(0, 20).Draw(t, "available")}
		}
		lines, err := Consolidate(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Line {
			return Line{skus.Draw(t, "sku"), rapid.Int64Range(1, 10).Draw(t, "quantity")}
		}), 1, 8).Draw(t, "lines"))
		if err != nil {
			t.Fatal(err)
		}
		possible := !slices.ContainsFunc(Events(Reserved, lines), func(e Event) bool {
			_, err := levels[e.SKU].Apply(e)
			return err != nil
		})
		if short := Reserve(levels, lines); (len(short) == 0) != possible {
			t.Fatalf("%v of %v: shortages %v, and the events are possible: %t", lines, levels, short, possible)
		}
	})
}

func TestConsolidate_KeepsTheSumWhateverTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Line {
			return Line{rapid.StringMatching(`[a-c]{1,2}`).Draw(t, "sku"), rapid.Int64Range(1, math.MaxInt32).Draw(t, "quantity")}
		})).Draw(t, "lines")
		sums := map[string]int64{}
		for _, l := range lines {
			sums[l.SKU] += l.Quantity
		}
		got, err := Consolidate(lines)
		again, errAgain := Consolidate(rapid.Permutation(lines).Draw(t, "permuted"))
		if err != nil || errAgain != nil {
			t.Fatal(err, errAgain)
		}
		if !slices.Equal(got, again) {
			t.Fatalf("the order of lines matters: %v and %v", got, again)
		}
		for i, l := range got {
			if l.Quantity != sums[l.SKU] || i > 0 && got[i-1].SKU >= l.SKU {
				t.Fatalf("got %v for sums %v", got, sums)
			}
		}
		if len(got) != len(sums) {
			t.Fatalf("got %d SKUs, want %d", len(got), len(sums))
		}
	})
}

func TestRecord_IsApplyForEachEventOrNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		levels := map[string]Level{"a": {SKU: "a", Available: 20, Reserved: 5}, "b": {SKU: "b"}}
		before, want := maps.Clone(levels), maps.Clone(levels)
		events := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Event {
			return Event{
				rapid.SampledFrom([]string{"a", "b", "new"}).Draw(t, "sku"),
				EventType(rapid.IntRange(int(Received), int(Expired)).Draw(t, "type")), quantities().Draw(t, "quantity"),
			}
		})).Draw(t, "events")
		var wantErr error
		for _, e := range events {
			if want[e.SKU], wantErr = want[e.SKU].Apply(e); wantErr != nil {
				want = before
				break
			}
		}
		if err := Record(levels, events); (err != nil) != (wantErr != nil) {
			t.Fatalf("got error %v, want %v", err, wantErr)
		}
		if !maps.Equal(levels, want) {
			t.Fatalf("got %v, want %v", levels, want)
		}
	})
}
