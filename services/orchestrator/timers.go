package orchestrator

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/periodic"
)

// timers hold the sagas that wait for a time.
type timers struct {
	due  func(*live)
	soon periodic.Bell // the first time is another one

	mu    sync.Mutex
	queue alarms
}

// alarm is when a saga that waits is due, and where it stands in the queue; guarded by the timers' mu.
type alarm struct {
	at  time.Time
	pos int // from 1; 0 for one that does not wait
}

func newTimers(due func(*live)) *timers {
	return &timers{due: due, soon: periodic.NewBell()}
}

// add has a saga due at a time.
func (t *timers) add(l *live, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.alarm.at = at
	heap.Push(&t.queue, l)
	if t.queue[0] == l {
		t.hurry()
	}
}

// fire has a saga due now, if it waits.
func (t *timers) fire(l *live) { t.bringForward(l, false) }

// ask is fire, and lets the saga ask before its time.
func (t *timers) ask(l *live) { t.bringForward(l, true) }

func (t *timers) bringForward(l *live, asked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.alarm.pos == 0 {
		return // it is in other hands already
	}
	l.asked = l.asked || asked
	l.alarm.at = time.Time{}
	heap.Fix(&t.queue, l.alarm.pos-1)
	t.hurry()
}

func (t *timers) hurry() {
	t.soon.Ring()
}

// run hands out what is due until ctx ends.
func (t *timers) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.soon:
		case <-ctx.Done():
			return
		}
		timer.Reset(t.handOut())
	}
}

// handOut hands out what is due now, and tells how long it is to the next.
func (t *timers) handOut() time.Duration {
	for {
		l, wait := t.first()
		if l == nil {
			return wait
		}
		t.due(l)
	}
}

func (t *timers) first() (*live, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(t.queue[0].alarm.at); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&t.queue).(*live), 0
}

// alarms is a heap by time.
type alarms []*live

// Len implements heap.Interface.
func (q alarms) Len() int { return len(q) }

// Less implements heap.Interface.
func (q alarms) Less(i, j int) bool { return q[i].alarm.at.Before(q[j].alarm.at) }

// Swap implements heap.Interface.
func (q alarms) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].alarm.pos, q[j].alarm.pos = i+1, j+1
}

// Push implements heap.Interface.
func (q *alarms) Push(x any) {
	l := x.(*live)
	*q = append(*q, l)
	l.alarm.pos = len(*q)
}

// Pop implements heap.Interface.
func (q *alarms) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	last.alarm.pos = 0
	return last
}
