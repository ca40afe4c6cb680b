package quota

import (
	"cmp"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/shed"
)

const (
	// spare is the part of a quota that replicas share evenly, so that one that is asked for nothing can begin at once.
	spare = 0.05
	// maxTold is how many buckets a replica tells of: those that are asked for most.
	maxTold = 1000
	// maxMissed is how many reports in a row a replica may leave out before it is taken for gone.
	maxMissed = 3
	// ofLate is how much the last second says of the demand.
	ofLate = 0.5
	// slight is a demand that is none any more, in calls a second.
	slight = 0.01
)

// report is what a replica tells the others.
type report struct {
	Replica string `json:"replica"`
	// Hello asks the others to report at once, and Gone says that there is nobody any more.
	Hello bool `json:"hello,omitempty"`
	Gone  bool `json:"gone,omitempty"`
	// Demand is what it is asked for.
	Demand []demand `json:"demand,omitempty"`
}

// demand is how many calls a second a caller asks for.
type demand struct {
	Caller string     `json:"caller"`
	Class  shed.Class `json:"class"`
	Rate   float64    `json:"rate"`
}

// peers are the other replicas, by name.
type peers map[string]*peer

type peer struct {
	demand map[key]float64
	missed int
}

// share is the part of a quota that a replica gives out, of which it is asked for so many calls a second.
func (p peers) share(k key, own float64) float64 {
	n, all := float64(1+len(p)), own
	for _, other := range p {
		all += other.demand[k]
	}
	if all == 0 {
		return 1 / n
	}
	return spare/n + (1-spare)*own/all
}

// tick does what is to be done each second: it takes stock of what was asked for, forgets who is gone – unless nobody
// can be heard – and gives each bucket its part. It gives what the others are to be told.
func (q *Quotas) tick(hearing bool) []demand {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	passed := max(now.Sub(q.ticked), time.Millisecond).Seconds()
	q.ticked = now
	for name, p := range q.peers {
		if hearing {
			p.missed++
		}
		if p.missed > maxMissed {
			delete(q.peers, name)
		}
	}
	told := make([]demand, 0, min(len(q.buckets), maxTold))
	for k, b := range q.buckets {
		b.demand += ofLate * (float64(b.asked)/passed - b.demand)
		b.asked = 0
		if b.demand < slight {
			b.demand = 0
		}
		q.allot(now, k, b)
		if b.demand == 0 && b.limiter.TokensAt(now) >= float64(b.limiter.Burst()) {
			delete(q.buckets, k) // as good as a new one
			continue
		}
		told = append(told, demand{k.caller, k.class, b.demand})
	}
	if len(told) > maxTold {
		slices.SortFunc(told, func(x, y demand) int { return cmp.Compare(y.Rate, x.Rate) })
		told = told[:maxTold]
	}
	return told
}

// hear takes note of what another replica tells.
func (q *Quotas) hear(r report) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.Gone {
		delete(q.peers, r.Replica)
		return
	}
	p := &peer{demand: make(map[key]float64, len(r.Demand))}
	for _, d := range r.Demand[:min(len(r.Demand), maxTold)] {
		p.demand[key{d.Caller, d.Class}] = max(d.Rate, 0)
	}
	if r.Hello && q.peers[r.Replica] != nil {
		return // it says no more than that it is there
	}
	q.peers[r.Replica] = p
}
