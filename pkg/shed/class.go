package shed

import (
	"context"
	"time"
)

// Class is what work is worth when there is too much of it: the lowest number is refused last. The numbers are those of
// tieout.options.v1.Priority.
type Class int

// The classes.
const (
	// Finish finishes or undoes what was started.
	Finish Class = iota + 1
	// Step is a forward step of work in flight.
	Step
	// New starts new work.
	New
	// Read is a read.
	Read
	// Batch is batches and reports.
	Batch
)

// classes is how many there are, and one for the numbers to begin with 1.
const classes = int(Batch) + 1

var classNames = [classes]string{"", "finish", "step", "new", "read", "batch"}

// String is the class as callers and metrics name it.
func (c Class) String() string { return classNames[c] }

// ParseClass reads the name of a class.
func ParseClass(name string) (Class, bool) {
	for c := Finish; c <= Batch; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}

// Yields tells whether the class leaves what is reserved to work that was started.
func (c Class) Yields() bool { return c >= New }

// begins tells whether the class brings work that outlasts its call.
func (c Class) begins() bool { return c == New || c == Batch }

// waitedFor tells whether somebody waits for the answer, so that its time says how the server is.
func (c Class) waitedFor() bool { return c == New || c == Read }

// ceiling is how many may be under way for one more of the class to be let in, under a limit.
func (c Class) ceiling(limit float64) int {
	switch c {
	case Read:
		return int(0.9 * limit)
	case Batch:
		return int(0.5 * limit)
	}
	return int(limit)
}

// reserved is how many calls for started work are let in whatever the limit.
func (c Class) reserved() int {
	switch c {
	case Finish:
		return 512
	case Step:
		return 256
	}
	return 0
}

// patience is how long a call may wait for room. Whoever can ask again is told soon.
func (c Class) patience() time.Duration {
	if c.Yields() {
		return 10 * time.Millisecond
	}
	return 100 * time.Millisecond
}

type classKey struct{}

// WithClass marks the work that is done under a context.
func WithClass(ctx context.Context, c Class) context.Context {
	return context.WithValue(ctx, classKey{}, c)
}

// ClassOf gives the class of the work that is done under a context; 0 when it has none.
func ClassOf(ctx context.Context) Class {
	c, _ := ctx.Value(classKey{}).(Class)
	return c
}
