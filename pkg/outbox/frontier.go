package outbox

import "time"

const (
	// lookBehind is how often the whole table is looked at for what came behind the frontier.
	lookBehind = 30 * time.Second
	// gapLimit is how long the frontier waits for a sequence that nobody has committed: a transaction that is under
	// way, or one that was rolled back.
	gapLimit = 10 * time.Second
)

// frontier is how far the outbox is published without a gap. Looking for unpublished events only behind it is cheap
// also while a long transaction of somebody else keeps the server from forgetting the index entries of those that were
// published since it began. The order of sequences is not that of commits: so it stops at a gap, and all of the table is
// looked at from time to time.
type frontier struct {
	upTo   int64              // everything up to this sequence is published, or was given up on
	beyond map[int64]struct{} // published behind a gap
	moved  time.Time          // when upTo last changed, or the gap opened
	looked time.Time          // when all of the table was last looked at
}

// from is behind which sequence to look for unpublished events now.
func (f *frontier) from(now time.Time) int64 {
	if now.Sub(f.looked) >= lookBehind {
		f.looked = now
		return 0
	}
	return f.upTo
}

// published takes in that events are published.
func (f *frontier) published(rows []row, now time.Time) {
	if f.beyond == nil {
		f.beyond = map[int64]struct{}{}
	}
	if len(f.beyond) == 0 {
		f.moved = now
	}
	for _, r := range rows {
		if r.seq > f.upTo {
			f.beyond[r.seq] = struct{}{}
		}
	}
	f.advance(now)
	if len(f.beyond) > 0 && now.Sub(f.moved) >= gapLimit {
		first := int64(0)
		for seq := range f.beyond {
			if first == 0 || seq < first {
				first = seq
			}
		}
		f.upTo = first - 1
		f.advance(now)
	}
}

func (f *frontier) advance(now time.Time) {
	for {
		if _, ok := f.beyond[f.upTo+1]; !ok {
			return
		}
		f.upTo++
		f.moved = now
		delete(f.beyond, f.upTo)
	}
}
