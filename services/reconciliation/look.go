package reconciliation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tieout/tieout/services/reconciliation/tieout"
)

const (
	// maxDue is how many orders are judged at once, and maxAsked how many of them the owners are asked about.
	maxDue   = 1000
	maxAsked = 64
	// askers is how many orders are asked about side by side.
	askers = 8
	// manyWaiting is how many events may wait to be taken in before what is missing is thought to be late.
	manyWaiting = 1000
	// askAgain is when an order is asked about again whose owners could not be asked; twice as long each time, up to longest.
	askAgain = 30 * time.Second
	// longest is how long an order that has not ended, or does not tie, is left alone at most.
	longest = time.Hour
)

// lookOnce judges the orders whose time to be looked at has come, as they are known from events. Of those that do not tie by
// that, the owners are asked, side by side and outside of any transaction.
func (t *ties) lookOnce(ctx context.Context) (again bool, err error) {
	due, err := newStore(t.pool).dueFacts(ctx, maxDue)
	if err != nil || len(due) == 0 {
		return false, err
	}
	var looks []look
	var doubtful []known
	for _, k := range due {
		if next, ask := t.judge(k); ask {
			doubtful = append(doubtful, k)
		} else {
			looks = append(looks, next)
		}
	}
	doubtful, later := t.notLate(ctx, doubtful)
	if err := newStore(t.pool).setLooks(ctx, append(looks, later...)); err != nil {
		return false, err
	}
	t.metrics.judged(ctx, looks)
	n := min(len(doubtful), maxAsked)
	t.askAll(ctx, doubtful[:n])
	return n < len(doubtful) || len(due) == maxDue, ctx.Err()
}

// judge says when an order is looked at next, or that its owners are to be asked.
func (t *ties) judge(k known) (next look, ask bool) {
	age := k.now.Sub(k.begunAt)
	if quietAt := k.toldAt.Add(t.tieOut.Grace); k.now.Before(quietAt) {
		return look{known: k, at: quietAt}, false
	}
	switch k.facts.Judge(age, t.tieOut.Overdue) {
	case tieout.Tied:
		return look{known: k}, k.sighted // what was sighted has vanished, when its owners say so too
	case tieout.InFlight:
		return look{known: k, at: k.now.Add(t.leaveAlone(age))}, false
	}
	return look{}, true
}

// notLate puts off young orders while so many events wait that what was not told of them is late, and not lost. It is the
// same when nobody knows how many wait.
func (t *ties) notLate(ctx context.Context, doubtful []known) (ask []known, later []look) {
	if len(doubtful) == 0 {
		return nil, nil
	}
	if waiting, err := t.waiting(ctx); err == nil && waiting <= manyWaiting {
		return doubtful, nil
	}
	for _, k := range doubtful {
		if k.now.Sub(k.begunAt) < t.tieOut.Overdue {
			later = append(later, look{known: k, at: k.now.Add(t.tieOut.Grace)})
		} else {
			ask = append(ask, k)
		}
	}
	return ask, later
}

// leaveAlone is how long an order of an age that has not ended is left alone: the older, the longer.
func (t *ties) leaveAlone(age time.Duration) time.Duration {
	return min(max(age/2, t.tieOut.Grace), longest)
}

// askAll asks the owners about orders, and writes what comes of it. One that fails is asked about again later.
func (t *ties) askAll(ctx context.Context, doubtful []known) {
	places := make(chan struct{}, askers)
	var asking sync.WaitGroup
	for _, k := range doubtful {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			if err := t.clear(ctx, k); err != nil && ctx.Err() == nil {
				t.log.WarnContext(ctx, "an order is not tied out", slog.String("order", k.String()), slog.Any("error", err))
				t.postpone(ctx, k)
			}
		})
	}
	asking.Wait()
}

// postpone has an order looked at again that could not be asked about.
func (t *ties) postpone(ctx context.Context, k known) {
	wait := min(askAgain<<min(k.looks, 10), longest)
	k.looks++
	t.metrics.orders.Add(ctx, 1, verdictUnknown)
	if err := newStore(t.pool).setLooks(ctx, []look{{known: k, at: k.now.Add(wait)}}); err != nil {
		t.log.WarnContext(ctx, "an order is not put off", slog.String("order", k.String()), slog.Any("error", err))
	}
}
