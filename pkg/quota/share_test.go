package quota

import (
	"math"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/shed"
)

// fleet is replicas with one clock, which tell each other each second.
type fleet struct {
	*testing.T
	now      time.Time
	replicas []*Quotas
	names    []string
}

func newFleet(t *testing.T, n int, rules ...Rule) *fleet {
	t.Helper()
	f := &fleet{T: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range n {
		q, err := New(Options{Now: func() time.Time { return f.now }})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Set(Config{Rules: rules, Exempt: []string{"billing"}}); err != nil {
			t.Fatal(err)
		}
		f.replicas, f.names = append(f.replicas, q), append(f.names, string(rune('a'+i)))
	}
	f.exchange(true)
	return f
}

// exchange is what the replicas do each second.
func (f *fleet) exchange(hearing bool) {
	for i, q := range f.replicas {
		r := report{Replica: f.names[i], Demand: q.tick(hearing)}
		for j, other := range f.replicas {
			if i != j && hearing {
				other.hear(r)
			}
		}
	}
}

// run has a caller make so many calls a second at each replica, and gives how many were let in at each, and refused.
func (f *fleet) run(seconds int, caller string, perSecond ...int) (let []int, refused int) {
	let = make([]int, len(f.replicas))
	for range seconds {
		for tick := range 100 {
			for i, rate := range perSecond {
				for range rate*(tick+1)/100 - rate*tick/100 {
					if f.replicas[i].Take(f.Context(), caller, shed.New) == nil {
						let[i]++
					} else {
						refused++
					}
				}
			}
			f.now = f.now.Add(10 * time.Millisecond)
		}
		f.exchange(true)
	}
	return let, refused
}

func (f *fleet) wantAbout(got, want int) {
	f.Helper()
	if math.Abs(float64(got-want)) > 0.1*float64(want) {
		f.Errorf("%d calls were let in, want %d, more or less 10 %%", got, want)
	}
}

func sum(all []int) (n int) {
	for _, x := range all {
		n += x
	}
	return n
}

var hundred = Rule{Caller: Everybody, Class: "new", Rate: 100, Burst: 10}

func TestShare_ReplicasGiveOneQuota(t *testing.T) {
	t.Parallel()
	for name, traffic := range map[string][]int{
		"even":       {200, 200, 200},
		"uneven":     {1000, 100, 10},
		"one alone":  {500, 0, 0},
		"just above": {100, 15, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, hundred)
			f.run(3, "shop", traffic...) // they get to know what each is asked for
			let, _ := f.run(60, "shop", traffic...)
			f.wantAbout(sum(let), 6000)
		})
	}
}

func TestShare_FollowsTheTraffic(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, hundred)
	f.run(20, "shop", 1000, 0, 0)
	first, _ := f.run(5, "shop", 0, 1000, 0)
	if sum(first) < 250 {
		t.Errorf("in the five seconds after the traffic moved %d calls were let in of 500", sum(first))
	}
	let, _ := f.run(20, "shop", 0, 1000, 0)
	f.wantAbout(sum(let), 2000)
}

func TestShare_OfOneThatIsGoneFallsToTheOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, hundred)
	f.run(5, "shop", 200, 200, 200)
	f.replicas = f.replicas[:2]
	f.run(5, "shop", 200, 200)
	let, _ := f.run(20, "shop", 200, 200)
	f.wantAbout(sum(let), 2000)
	f.replicas[0].hear(report{Replica: f.names[1], Gone: true})
	if n := len(f.replicas[0].peers); n != 0 {
		t.Errorf("after the other one said that it goes there are still %d", n)
	}
}

func TestShare_StaysWhileNobodyCanBeHeard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, hundred)
	f.run(5, "shop", 200, 200, 200)
	let := 0
	for range 20 {
		for range 200 {
			f.now = f.now.Add(5 * time.Millisecond)
			for _, q := range f.replicas {
				if q.Take(t.Context(), "shop", shed.New) == nil {
					let++
				}
			}
		}
		f.exchange(false)
	}
	f.wantAbout(let, 2000)
}

func TestQuota_OfOneCallerIsNotThatOfAnother(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, hundred)
	refused, asked := 0, 0
	for second := range 60 {
		for tick := range 100 {
			f.now = f.now.Add(10 * time.Millisecond)
			for range 25 { // 50 times what each of the others asks for
				_ = f.replicas[0].Take(t.Context(), "the loud one", shed.New)
			}
			if tick%2 != second%2 {
				continue
			}
			for _, caller := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
				asked++
				if f.replicas[0].Take(t.Context(), caller, shed.New) != nil {
					refused++
				}
			}
		}
		f.exchange(true)
	}
	if refused*200 > asked {
		t.Errorf("of the nine, %d calls of %d were refused", refused, asked)
	}
}

func TestQuota_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, hundred)
	q := f.replicas[0]
	for i := range 3 * maxBuckets {
		_ = q.Take(t.Context(), "caller "+string(rune(i)), shed.New)
	}
	if n := len(q.buckets); n > maxBuckets+5 {
		t.Errorf("%d buckets, want at most %d and one for the crowd of each class", n, maxBuckets)
	}
	if err := q.Take(t.Context(), "one more", shed.New); err == nil {
		t.Error("callers without a bucket are let in without a bound")
	}
	for range 60 {
		f.now = f.now.Add(time.Second)
		f.exchange(true)
	}
	if n := len(q.buckets); n != 0 {
		t.Errorf("%d buckets that say nothing are kept", n)
	}
}
