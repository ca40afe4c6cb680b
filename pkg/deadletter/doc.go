// Package deadletter is what people do with dead letters: look at them, have their events driven again, discard them.
//
// Package inbox writes them; a [Desk] serves those of all services of a process, each from its own database
// (DeadLetterService).
//
//	open ──► redriven   its event took effect, or nothing was left to do
//	  ▲ └──► discarded  a person said that it shall not
//	  └──────────┘      which a person can think better of: what is redriven and fails again is open
//
// To redrive is to hand the event from the row to the consumer's handler, in one transaction that locks the row and ends it.
// That is exactly once with nothing more than the transaction: a second redrive waits for the row and finds it ended, and
// after a crash either all of it happened or nothing. The stream is not asked: it may have forgotten the event, other
// consumers would see it twice, and it would come back by a way that the answer does not wait for. A handler that fails is
// undone to a savepoint; the failure, with its attempt and error, is what is committed. Every decision leaves a row with
// who, why and what came of it, which is never changed.
//
// What is done to many is a plan first, whose items are kept: what was looked at is what is done. Once it is applied, a duty
// does the items one by one, the oldest first, each in one transaction with its outcome, so that after a crash any replica
// goes on.
package deadletter
