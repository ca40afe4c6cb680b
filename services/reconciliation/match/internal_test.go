package match

import (
	"cmp"
	"math/bits"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// eachAssignment tries all ways to give rows a column of their own.
func eachAssignment(rows, columns int, visit func(columnOf []int)) {
	columnOf, used := make([]int, rows), make([]bool, columns)
	var give func(i int)
	give = func(i int) {
		if i == rows {
			visit(columnOf)
			return
		}
		for j := range columns {
			if !used[j] {
				used[j], columnOf[i] = true, j
				give(i + 1)
				used[j] = false
			}
		}
	}
	give(0)
}

func TestAssignment_IsTheOnlyCheapest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 4).Draw(t, "rows")
		columns := rapid.IntRange(rows, 6).Draw(t, "columns")
		costs := make([][]int64, rows)
		for i := range costs {
			costs[i] = rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 3), rapid.Just(int64(costNone))), columns, columns).Draw(t, "costs")
		}
		best, ways := int64(-1), map[string][]int{}
		eachAssignment(rows, columns, func(columnOf []int) {
			cost, pairs := int64(0), []byte{}
			for i, j := range columnOf {
				cost += costs[i][j]
				if costs[i][j] < costNone {
					pairs = append(pairs, byte('0'+i), byte('0'+j))
				}
			}
			if best < 0 || cost < best {
				best = cost
				clear(ways)
			}
			if cost == best {
				ways[string(pairs)] = nil
			}
		})
		columnOf, only := assignment(costs)
		cost, pairs := int64(0), []byte{}
		for i, j := range columnOf {
			cost += costs[i][j]
			if costs[i][j] < costNone {
				pairs = append(pairs, byte('0'+i), byte('0'+j))
			}
		}
		if _, among := ways[string(pairs)]; cost != best || !among {
			t.Fatalf("of %v: %v costs %d, want %d", costs, columnOf, cost, best)
		}
		if only != (len(ways) == 1) {
			t.Fatalf("of %v: only is %v, of %d ways", costs, only, len(ways))
		}
	})
}

func TestAssignment_OfTheLargestComponent(t *testing.T) {
	t.Parallel()
	const n, dear = maxComponent / 2, maxDifference*perDifference + maxDays
	costs := make([][]int64, n)
	for i := range costs {
		costs[i] = slices.Repeat([]int64{dear}, n)
		costs[i][(i+7)%n] = dear - 1
		costs[i][(i+9)%n] = costNone
	}
	columnOf, only := assignment(costs)
	for i, j := range columnOf {
		if j != (i+7)%n {
			t.Errorf("row %d has column %d", i, j)
		}
	}
	if !only {
		t.Error("there is only one at that cost")
	}
	for _, i := range []int{2, 11, 30} { // rows 2, 11 and 30 could go round
		next := map[int]int{2: 11, 11: 30, 30: 2}[i]
		costs[i][(next+7)%n] = dear - 1
	}
	if _, only := assignment(costs); only {
		t.Error("there are two at that cost")
	}
}

// countSubsets counts the subsets of a size that come to a sum.
func countSubsets(items []int64, sum int64, least, most int) (count int, last uint) {
	for of := uint(1); of < 1<<len(items); of++ {
		total := int64(0)
		for i, v := range items {
			if of>>i&1 == 1 {
				total += v
			}
		}
		if size := bits.OnesCount(of); total == sum && least <= size && size <= most {
			count++
			last = of
		}
	}
	return min(count, 2), last
}

func mask(places []int) (of uint) {
	for _, i := range places {
		of |= 1 << i
	}
	return of
}

func TestSubset_CountsAllSolutions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Int64Range(-9, 30), 1, 11).Draw(t, "items")
		sum := rapid.Int64Range(-20, 120).Draw(t, "sum")
		least := rapid.IntRange(1, 2).Draw(t, "least")
		most := rapid.IntRange(1, len(items)).Draw(t, "most")
		want, of := countSubsets(items, sum, least, most)
		if got := fewOf(items, sum, least, most); got.solutions != want || want == 1 && mask(got.first) != of {
			t.Fatalf("%d to %d of %v come to %d: got %+v, want %d", least, most, items, sum, got, want)
		}
		rules := Subset{Rows: 40, Complement: rapid.IntRange(0, 3).Draw(t, "complement"), Budget: 1 << 10, Rarity: 1}
		want, of = countSubsets(items, sum, 2, len(items))
		if got := rules.linked(items, sum, rules.Budget); got.over || got.solutions != want || want == 1 && mask(got.first) != of {
			t.Fatalf("of %v come to %d: got %+v, want %d", items, sum, got, want)
		}
	})
}

func TestSubset_SearchesFortyWithinItsBudget(t *testing.T) {
	t.Parallel()
	items := make([]int64, 40)
	for i := range items {
		items[i] = 1 << i
	}
	rules := Subset{Rows: 40, Complement: 3, Budget: 1 << 21, Rarity: 1}
	got := rules.linked(items, 0b1010_0000_0000_0000_0000_0000_0000_0000_0001, 1<<21)
	if want := []int{0, 33, 35}; got.solutions != 1 || gocmp.Diff(want, got.first) != "" {
		t.Errorf("got %+v, want %v", got, want)
	}
	if !rules.linked(items, 5, 1<<21-1).over {
		t.Error("a sum more than the budget was built")
	}
	if got := rules.linked(append(items, 1), 5, 1<<21); got.solutions != 0 || got.over {
		t.Errorf("more rows than the limit: %+v", got)
	}
}

func TestSubset_LooksAtNoMoreThanIsRare(t *testing.T) {
	t.Parallel()
	items := []int64{10_000, 20_000, 30_000, 40_000} // 100,000 sums
	for rarity, want := range map[int64]int{100_000: 0, 25_000: 1, 10_000: 2, 7_000: 3, 6_666: 4, 1: 4} {
		if got := (Subset{Budget: 1 << 20, Rarity: rarity}).rare(items); got != want {
			t.Errorf("rarity %d: up to %d, want %d", rarity, got, want)
		}
	}
	if got := (Subset{Budget: 9, Rarity: 1}).rare(items); got != 1 {
		t.Errorf("budget 9: up to %d", got)
	}
}

// TestJoin_GroupsByTokenWhateverItsHash has tokens all of which have the same hash.
func TestJoin_GroupsByTokenWhateverItsHash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		collide := rapid.Bool().Draw(t, "collide")
		token := func(n uint64) Token {
			switch {
			case n == 0:
				return Token{}
			case collide:
				return Token{77 ^ bits.RotateLeft64(n, 29), n}
			}
			return Token{n, 0}
		}
		draw := func(name string) carriers {
			c := carriers{token: func(row *Row) Token { return row.Carriers[CarrierID] }}
			for i, n := range rapid.SliceOfN(rapid.Uint64Range(0, 5), 0, 12).Draw(t, name) {
				row := Row{Kind: KindCharge + Kind(n%2), Amount: int64(n)}
				row.Carriers[CarrierID] = token((n + 1) / 2)
				c.rows = append(c.rows, row)
				if rapid.IntRange(0, 4).Draw(t, "in") > 0 {
					c.places = append(c.places, int32(i))
				}
			}
			return c
		}
		type bucket struct{ Build, Run []int32 }
		build, run := draw("build"), draw("run")
		want := map[int64]bucket{}
		for n := int64(1); n <= 5; n++ {
			with := func(c carriers) []int32 {
				return slices.DeleteFunc(slices.Clone(c.places), func(i int32) bool { return c.rows[i].Amount != n })
			}
			if b, r := with(build), with(run); len(b) > 0 && len(r) > 0 {
				want[n] = bucket{b, r}
			}
		}
		var j join
		for range 2 { // what a join leaves behind is of no matter to the next
			got := map[int64]bucket{}
			j.each(build, run, func(b, r []int32) bool {
				got[build.rows[b[0]].Amount] = bucket{slices.Clone(b), slices.Clone(r)}
				return true
			})
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestSort_PutsRowsInTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.IntRange(0, 15).Draw(t, "bytes that all have")
		numbers := rapid.SliceOfNDistinct(rapid.Uint16(), 0, 40, rapid.ID[uint16]).Draw(t, "keys")
		rows := make([]Row, len(numbers))
		for i, n := range numbers {
			rows[i] = Row{ID: int64(n)}
			rows[i].Key[prefix] = byte(n >> 8)
			rows[i].Key[(prefix+1)%16] = byte(n)
		}
		want := slices.Clone(rows)
		slices.SortFunc(want, func(a, b Row) int { return compareKeys(&a, &b) })
		if err := arranged(rows); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, rows); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestIndex_FindsWhatIsInASpan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rows []Row
		var places []int32
		for i := range rapid.IntRange(0, 20).Draw(t, "rows") {
			row := Row{
				Kind: rapid.SampledFrom([]Kind{KindCharge, KindRefund}).Draw(t, "kind"), Amount: rapid.Int64Range(0, 4).Draw(t, "amount"),
				Day: Day(rapid.IntRange(0, 5).Draw(t, "day")),
			}
			if rapid.Bool().Draw(t, "carries") {
				row.Carriers[CarrierKey] = Token{1}
			}
			rows, places = append(rows, row), append(places, int32(i))
		}
		least, from := rapid.Int64Range(-1, 4).Draw(t, "least"), Day(rapid.IntRange(-1, 5).Draw(t, "from"))
		s := span{least, least + rapid.Int64Range(0, 3).Draw(t, "more"), from, from + Day(rapid.IntRange(0, 4).Draw(t, "days"))}
		var want, got []int32
		for i, row := range rows {
			if row.Kind == KindCharge && carries(&row) == 0 && s.least <= row.Amount && row.Amount <= s.most && s.from <= row.Day && row.Day <= s.to {
				want = append(want, int32(i))
			}
		}
		x := newIndex(order(rapid.Bool().Draw(t, "by day")), rows, places)
		x.each(KindCharge, func(c uint8) bool { return c == 0 }, s, func(from, to int) bool {
			for _, e := range x.entries[from:to] {
				got = append(got, e.row)
			}
			return true
		})
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v of %+v: %s", s, rows, diff)
		}
		near := newIndex(byAmount, rows, places).nearest(&Row{Kind: KindCharge, Amount: least, Day: from})
		best := int32(-1)
		apart := func(i int32) Day { return max(rows[i].Day-from, from-rows[i].Day) }
		for i := range rows {
			if rows[i].Kind == KindCharge && rows[i].Amount == least && (best < 0 || cmp.Or(cmp.Compare(apart(int32(i)), apart(best)), 0) < 0) {
				best = int32(i)
			}
		}
		if near != best {
			t.Fatalf("nearest to %d on day %d of %+v: %d, want %d", least, from, rows, near, best)
		}
	})
}

func TestSimilarity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "INV-0042", 0},
		{"INV-0042", "inv 42", 1000},
		{"INV-1042", "payment inv/1042 thanks", 1000},
		{"INV-1042", "INV-1043", 0},
		{"INV 1042 1043", "1043", 1000},
		{"a b c", "a b c", 0}, // too little
		{"Order", "Ordre", 0},
		{"Schneider", "Schneyder", 888},
		{"2024 1042", "1042 2025", 500},
		{"0000", "000", 0},
		{"Zürich", "Zuerich", 0},
	} {
		for _, texts := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got := similarity(words(texts[0]), words(texts[1])); got != c.want {
				t.Errorf("%q and %q: %d, want %d", texts[0], texts[1], got, c.want)
			}
		}
	}
}

func FuzzSimilarity(f *testing.F) {
	f.Add("INV-0042", "inv 42")
	f.Add("Schneider", "Schneyder 00")
	f.Fuzz(func(t *testing.T, a, b string) {
		one, other := similarity(words(a), words(b)), similarity(words(b), words(a))
		if one < 0 || one > whole {
			t.Errorf("%q and %q: %d", a, b, one)
		}
		if weight(words(a)) != weight(words(b)) && one != other {
			t.Errorf("%q and %q: %d one way, %d the other", a, b, one, other)
		}
		if same := similarity(words(a), words(a)); same != 0 && same != whole {
			t.Errorf("%q and itself: %d", a, same)
		}
	})
}
