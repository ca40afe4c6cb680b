// Package inbox consumes events of the stream bus.Stream so that each takes effect exactly once.
//
// A consumer takes what is waiting, up to 1,000 events, and rests for as long as a batch of several took: while one runs the next gathers.
// In one transaction it writes a row per event into the table inbox, drops the events whose row was there already,
// and hands the rest to Consumer.Handle, whose effects are written in the same transaction. Then it acknowledges.
//
// What holds, whatever crashes:
//
//   - An event whose effect is committed has its inbox row committed with it. Delivered again, because the
//     acknowledgement was lost, because the relay published it twice or because the stream was created anew, it does
//     nothing.
//   - A batch that fails is tried event by event, so that one bad event fails alone. It is delivered again after 1 s,
//     5 s and then every 30 s, and always alone; after Consumer.MaxAttempts failures it becomes a row of dead_letter,
//     with its payload and the error, in one transaction with its inbox row. Failures are counted in a row of their own,
//     so that a restart or another process grants no new attempts. What is not an event at all, or is on the subject of
//     another, becomes a dead letter at once.
//   - An event that is delivered more often than it may fail, perhaps because it brings the process down before the failure
//     is counted, goes alone as well. It is not given up for that: it may be the database that was away.
//   - A dead letter is driven again by [Inbox.Redrive], in the transaction that ends it (package deadletter).
//   - A database that cannot be reached, fails over or answers with a conflict is nobody's fault: the batch is put
//     back and does not count as an attempt. The same is true of a COMMIT whose outcome is unknown: the inbox rows
//     tell at the next delivery.
//
// Events come in the order of the stream, but not always: a failed event comes again after those that followed it,
// and several processes with the same consumer share the events between them. Handlers must not need more order than
// they can check.
package inbox
