package batching

import "time"

// paceWindow is how far back a pace looks: long enough to be calm, short enough to follow a limit that was changed.
const paceWindow = 15 * time.Second

// Pace tells how fast something goes, from what was seen of it lately. The zero value has seen nothing.
type Pace struct {
	seen []sighting
}

// sighting is how much was done at a time.
type sighting struct {
	at   time.Time
	done int64
}

// See notes how much is done at a time, later than the one before. Less than before begins anew: it was made undone, as
// when what failed is tried again.
func (p *Pace) See(at time.Time, done int64) {
	if n := len(p.seen); n > 0 && p.seen[n-1].done > done {
		p.seen = p.seen[:0]
	}
	p.seen = append(p.seen, sighting{at, done})
	for len(p.seen) > 2 && at.Sub(p.seen[1].at) >= paceWindow {
		p.seen = p.seen[1:]
	}
}

// PerSecond is how much was done in a second; 0 while that is not known.
func (p *Pace) PerSecond() float64 {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	if took := last.at.Sub(first.at); took > 0 {
		return float64(last.done-first.done) / took.Seconds()
	}
	return 0
}

// Left is how long it takes to do the rest; 0 while that is not known.
func (p *Pace) Left(rest int64) time.Duration {
	perSecond := p.PerSecond()
	if perSecond == 0 {
		return 0
	}
	return time.Duration(float64(rest) / perSecond * float64(time.Second)).Round(time.Second)
}
