package reconciliation

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// entries of a series of euros. Days are counted from 2026-01-01; lines are on the days from the opening to the closing one.
func numbered(sequence int64, page int32, opening, closing int64, from, to int) *entry {
	return &entry{
		id: uuid.New(), file: uuid.New(), format: formats.Camt053, series: "bank/DE01", currency: "EUR", sequence: sequence, page: page,
		opening: &balance{opening, on(from)}, closing: &balance{closing, on(to)}, first: on(from), last: on(to), lines: 2, places: 2, unkeyed: 2,
	}
}

func unnumbered(opening, closing int64, from, to int) *entry {
	return numbered(0, 0, opening, closing, from, to)
}

// sibling is of the file that judge is asked about.
func sibling(e *entry) *entry {
	of := *e
	of.file = uuid.Nil
	return &of
}

func on(n int) match.Day { return dayOf(day(1)) + match.Day(n) }

func with(e *entry, change func(*entry)) *entry {
	change(e)
	return e
}

func seriesOf(entries []*entry) *series {
	r := newSeries()
	for _, e := range entries {
		r.add(e)
	}
	return r
}

// judgement is what is to become of a statement, given others.
type judgement struct {
	s      *entry
	others []*entry
	want   standing
	why    string
}

func repeated(e *entry) { e.overlapping = e.places }

func unbalanced(e *entry) { e.opening, e.closing = nil, nil }

func keyed(e *entry) { e.unkeyed = 0 }

// withNumbers are what is to become of statements with numbers, by what is special about them.
func withNumbers() map[string]judgement {
	five := numbered(5, 0, 100, 200, 5, 5)
	six := numbered(6, 0, 200, 300, 6, 6)
	return map[string]judgement{
		"the first":                      {six, nil, standingTaken, ""},
		"the next":                       {six, []*entry{five}, standingTaken, ""},
		"the one before":                 {five, []*entry{six}, standingTaken, ""},
		"in between":                     {six, []*entry{five, numbered(7, 0, 300, 400, 7, 7)}, standingTaken, ""},
		"a number is missing":            {numbered(7, 0, 200, 300, 7, 7), []*entry{five}, standingGap, "is number 7, and before it comes stm_"},
		"money is missing":               {numbered(6, 0, 201, 300, 6, 6), []*entry{five}, standingGap, "opens with 2.01 EUR, and before it stm_"},
		"something is missing behind it": {numbered(3, 0, 0, 50, 3, 3), []*entry{five}, standingGap, "closes with 0.50 EUR, and behind it stm_"},
		"the same":                       {with(numbered(5, 0, 100, 200, 5, 5), repeated), []*entry{five}, standingRepeats, ""},
		"the same with other lines":      {numbered(5, 0, 100, 200, 5, 5), []*entry{five}, standingOverlap, "has the balances of stm_"},
		"the number with other balances": {numbered(5, 0, 100, 250, 5, 5), []*entry{five}, standingOverlap, "has the number of stm_"},
		"another number with the balances": {numbered(105, 0, 100, 200, 5, 5), []*entry{five}, standingOverlap,
			"has the balances of stm_"},
		"a second one behind the same":        {numbered(6, 0, 200, 350, 6, 6), []*entry{five, six}, standingOverlap, "has the number of stm_"},
		"the same again, and nothing moved":   {numbered(7, 0, 300, 300, 7, 7), []*entry{six, numbered(8, 0, 300, 300, 7, 7)}, standingTaken, ""},
		"the next page":                       {numbered(5, 2, 200, 300, 5, 5), []*entry{numbered(5, 1, 100, 200, 5, 5)}, standingTaken, ""},
		"a page is missing":                   {numbered(5, 3, 200, 300, 5, 5), []*entry{numbered(5, 1, 100, 200, 5, 5)}, standingGap, "is number 5/3"},
		"the next number behind a page":       {numbered(6, 1, 200, 300, 6, 6), []*entry{numbered(5, 2, 100, 200, 5, 5)}, standingTaken, ""},
		"numbers begin again with the year":   {numbered(1, 0, 200, 300, 366, 366), []*entry{five}, standingTaken, ""},
		"numbers go on in another year":       {numbered(6, 0, 200, 300, 366, 366), []*entry{five}, standingTaken, ""},
		"numbers begin again within the year": {numbered(1, 0, 200, 300, 9, 9), []*entry{five}, standingGap, "is number 1"},
		"the number of another year": {numbered(5, 0, 200, 300, 370, 370), []*entry{five, numbered(4, 0, 150, 200, 369, 369)}, standingTaken,
			""},
		"a year's first, of a year that has begun": {numbered(1, 0, 200, 300, 370, 370),
			[]*entry{five, numbered(6, 0, 200, 250, 6, 6), numbered(2, 0, 250, 260, 367, 367)}, standingGap, ""},
		"it covers the days of several": {numbered(2, 0, 50, 400, 1, 30), []*entry{five, six}, standingOverlap, "covers days that stm_"},
		"two on a day":                  {numbered(6, 0, 200, 300, 5, 5), []*entry{five}, standingTaken, ""},
	}
}

// withoutNumbers are those of statements without numbers, or without balances.
func withoutNumbers() map[string]judgement {
	five := numbered(5, 0, 100, 200, 5, 5)
	return map[string]judgement{
		"without numbers, the next":              {unnumbered(200, 300, 6, 6), []*entry{unnumbered(100, 200, 5, 5)}, standingTaken, ""},
		"without numbers, one of them":           {unnumbered(200, 300, 6, 6), []*entry{five}, standingTaken, ""},
		"without numbers, the one before":        {unnumbered(0, 100, 4, 4), []*entry{unnumbered(100, 200, 5, 5)}, standingTaken, ""},
		"without numbers, money is missing":      {unnumbered(201, 300, 6, 6), []*entry{unnumbered(100, 200, 5, 5)}, standingGap, "opens with 2.01 EUR"},
		"without numbers, the same":              {with(unnumbered(100, 200, 5, 5), repeated), []*entry{five}, standingRepeats, ""},
		"without numbers, the same, other lines": {unnumbered(100, 200, 5, 5), []*entry{five}, standingOverlap, "has the balances of stm_"},
		"without numbers, back in time":          {unnumbered(200, 300, 3, 5), []*entry{unnumbered(100, 200, 5, 5)}, standingOverlap, "covers days"},
		"without numbers, behind what has a next": {unnumbered(200, 300, 9, 9), []*entry{unnumbered(100, 200, 5, 5), unnumbered(200, 250, 6, 6)},
			standingGap, "opens with 2.00 EUR, and before it stm_"},
		"without numbers, a day in the middle": {unnumbered(150, 160, 5, 5), []*entry{unnumbered(100, 200, 3, 9)}, standingOverlap, "covers days"},

		"without numbers, of one file and day": {unnumbered(150, 160, 5, 5), []*entry{sibling(unnumbered(100, 200, 5, 5))}, standingTaken, ""},
		"without numbers, of one file":         {unnumbered(250, 260, 6, 6), []*entry{sibling(unnumbered(100, 200, 5, 5))}, standingGap, "opens with"},
		"with numbers, of one file and day":    {numbered(9, 0, 150, 160, 5, 5), []*entry{sibling(five)}, standingGap, "is number 9"},

		"without balances, the first":      {with(unnumbered(0, 0, 5, 5), unbalanced), nil, standingTaken, ""},
		"without balances, another day":    {with(unnumbered(0, 0, 6, 6), unbalanced), []*entry{five}, standingTaken, ""},
		"without balances, a day again":    {with(unnumbered(0, 0, 5, 5), unbalanced), []*entry{five}, standingOverlap, "has lines of days"},
		"balances, where there are none":   {five, []*entry{with(unnumbered(0, 0, 5, 5), unbalanced)}, standingOverlap, "has lines of days"},
		"without balances, all of it":      {with(with(unnumbered(0, 0, 5, 5), unbalanced), repeated), []*entry{five}, standingRepeats, ""},
		"without balances, known by keys":  {with(with(unnumbered(0, 0, 5, 5), unbalanced), keyed), []*entry{with(numbered(5, 0, 1, 2, 5, 5), keyed)}, standingTaken, ""},
		"without balances, of other keys":  {with(with(unnumbered(0, 0, 5, 5), unbalanced), keyed), []*entry{with(numbered(5, 0, 1, 2, 5, 5), func(e *entry) { e.unkeyed, e.format = 0, formats.MT940 })}, standingOverlap, "has lines of days"},
		"without balances, without a line": {with(with(unnumbered(0, 0, 5, 5), unbalanced), func(e *entry) { e.first, e.last, e.places = noDay, noDay, 0 }), []*entry{five}, standingTaken, ""},
	}
}

func TestJudge_SaysWhatContinuesWhat(t *testing.T) {
	t.Parallel()
	judgements := withNumbers()
	maps.Copy(judgements, withoutNumbers())
	for name, test := range judgements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *test.s // others are the same ones in several tests
			if len(test.others) == 1 && test.others[0].file == uuid.Nil {
				s.file = uuid.Nil
			}
			got, why := judgeStatement(&s, seriesOf(test.others), nil)
			if got != test.want || !strings.HasPrefix(why, test.why) || got.held() != (why != "" && got != standingRepeats) {
				t.Errorf("got %d: %q, want %d: %q", got, why, test.want, test.why)
			}
			slices.Reverse(test.others)
			if again, _ := judgeStatement(&s, seriesOf(test.others), nil); again != got {
				t.Errorf("in another order: got %d, want %d", again, got)
			}
		})
	}
}

func TestJudge_HoldsWhatHasLinesOfAStatementThatItFollows(t *testing.T) {
	t.Parallel()
	five, six := numbered(5, 0, 100, 200, 5, 5), numbered(6, 0, 200, 300, 6, 6)
	six.overlapping = 1
	if got, why := judgeStatement(six, seriesOf([]*entry{five}), map[uuid.UUID]bool{five.file: true}); got != standingOverlap || !strings.HasPrefix(why, "has 1 lines that stm_") {
		t.Errorf("got %d: %s", got, why)
	}
	if got, _ := judgeStatement(six, seriesOf([]*entry{five}), map[uuid.UUID]bool{uuid.New(): true}); got != standingTaken {
		t.Errorf("of another account's: got %d", got)
	}
}

// In whatever order and files the statements of an account come, all count in the end, and none twice.
func TestSettleAll_TakesAWholeSeriesInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "statements")
		byNumber := rapid.Bool().Draw(t, "numbered")
		chain, minor, at := make([]*entry, n), int64(0), 300
		for i := range chain {
			moved := rapid.Int64Range(1, 5).Draw(t, "moved")
			chain[i] = numbered(int64(i+1), 0, minor, minor+moved, at, at)
			if !byNumber {
				chain[i].sequence = 0
			}
			minor, at = minor+moved, at+rapid.IntRange(1, 40).Draw(t, "days")
		}
		var counted []*entry
		var held []*heldFile
		for _, s := range rapid.Permutation(chain).Draw(t, "order") {
			s.standing = standingTaken // as it comes in
			if len(held) > 0 && rapid.Bool().Draw(t, "in the file before") {
				last := held[len(held)-1]
				s.file = last.ID
				last.statements = append(last.statements, s)
			} else {
				f := &heldFile{statements: []*entry{s}}
				f.ID = s.file
				held = append(held, f)
			}
			settleAll(held, counted)
			held = slices.DeleteFunc(held, func(f *heldFile) bool {
				if f.accepted {
					counted = append(counted, f.counted()...)
				}
				return f.accepted
			})
		}
		if len(held) > 0 || len(counted) != n {
			t.Errorf("%d of %d count, %d files are held: %s", len(counted), n, len(held), held[0].statements[0].note)
		}
		for _, s := range chain {
			twin := *s
			if is, _ := judgeStatement(&twin, seriesOf(counted), nil); is != standingOverlap {
				t.Errorf("a second one of number %d is %d", s.sequence, is)
			}
		}
	})
}
