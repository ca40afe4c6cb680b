// Package groupcommit makes many concurrent writes one transaction.
//
// Callers hand in a write and wait. While one batch is written the next one gathers; a batch is what is waiting,
// up to a limit, in the order it came. An idle system's batch is one write and costs what a transaction costs; nothing lingers for
// it, unless a Gap is asked for. After a batch of several a writer rests for as long as that took, or until the next one is full: the
// busier the machine, the longer, and the fewer transactions. The batch is applied as set-based SQL and committed once, and each
// caller gets its own result.
//
// What a caller may rely on:
//   - One write's refusal is that caller's result, not an error of the batch. A batch that fails is halved and tried
//     again, down to single writes, so that a poisonous one fails alone.
//   - COMMIT never runs under a caller's deadline. A caller whose time is up before its write was taken into a batch
//     gets its context's error, and nothing was done. One whose write was taken gets [ErrUnknown], and the batch goes on.
//   - A COMMIT whose outcome is not known is resolved by applying the batch again on another connection: Apply must
//     find by key what it did before (package idem). What the database says was not replicated stays unknown.
//   - When the group stops, what was taken is written and answered; who is still waiting gets [ErrStopped].
package groupcommit
