// Package pg is how the product talks to Postgres: pools, transactions and migrations, with one rule for what a
// COMMIT means.
//
// # When is a transaction committed?
//
// Three answers are possible, and InTx keeps them apart:
//
//   - nil: the server said so, and what is committed is as durable as the server was told to make it.
//   - an error that is not ErrCommitUnknown: nothing of the transaction happened. The error of the function given to
//     InTx comes back unchanged; a refusal by the server (a deferred constraint, a serialization conflict) is wrapped.
//   - an error that is ErrCommitUnknown: COMMIT was sent and the answer never came, or it came with the warning that
//     the wait for synchronous replication was cut short. The effect may or may not be there, now or in a moment, and
//     may be lost in a failover. Look the change up by its key, on a fresh connection; never treat it as a failure.
//
// COMMIT never runs under the caller's deadline. A driver whose context ends during COMMIT asks the server to cancel
// it, and a server that waits for its standby then makes the row visible without the standby having it. So the caller
// stops waiting, and the COMMIT goes on.
//
// # What travels together
//
// A round trip costs both sides more than many a statement does. What only writes can be left for [Later]: it travels with
// the next statement, or by itself before the COMMIT. So does the BEGIN of a transaction. The COMMIT travels alone, for
// nothing but its own answer may say what became of it.
//
// BUG(pg): when the connection itself breaks during COMMIT, pgx sends that cancel request all the same. The caller
// gets ErrCommitUnknown, but a row that it then finds may be on the primary only.
package pg
