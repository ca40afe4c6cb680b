// Package failpoint marks the cuts at which a process can be made to die, so that a test can kill it at each of them
// and see whether its promises hold.
//
// The marks stand at the few places through which everything passes that outlives a process or leaves it: the group
// commit, transactions, the relay and the inbox of events, calls to other services, to the payment provider and to the
// carrier. There are up to four cuts at each: before the effect; inside it; when it has happened and nobody has seen its
// result; and after. Package test/crash runs the system once to learn which cuts it passes, and then kills a process at
// each.
//
// Without the build tag failpoints a mark is an empty function that the compiler leaves out; a test proves that nothing
// of it is in a released binary. With the tag, [Configure] says what is written down and where the process dies. It
// dies by SIGKILL, from one moment to the next: a panic would run what is deferred.
package failpoint

// Cut is where a mark stands, seen from the effect that it belongs to.
type Cut string

// The cuts.
const (
	// Before: nothing has happened.
	Before Cut = "before"
	// Inside: it has begun, as a transaction that is not committed or a message that is not acknowledged.
	Inside Cut = "inside"
	// Unseen: it has happened, and nobody knows.
	Unseen Cut = "unseen"
	// After: who waited for it knows.
	After Cut = "after"
)

// AcknowledgeEarly is a defect that can be planted: the group commit acknowledges a batch that it has not committed,
// and does not come to commit it.
const AcknowledgeEarly = "acknowledge early"
