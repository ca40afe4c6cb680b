// Package inventory keeps stock.
//
// It owns the tables stock_event (the truth), stock_level (a projection of it, written in the same transaction),
// reservation, item (what people say about a SKU) and operator_action (who corrected what, and why). A reservation is
// held, and then released or committed:
//
//	held ──► released   the pieces are available again
//	   ├───► expired    the same, because its time was over
//	   └───► committed  the pieces have left the warehouse
//
// Reserve, Release and Commit are steps of a saga. Release names the key of the Reserve that it undoes; when it
// comes first, the Reserve is refused for ever. A request says which owner of its saga sends it, and which trace the
// saga is: one of an owner that was followed by another is refused, and spans and events of the rest belong to their
// sagas' traces, not to that of the call that brings many.
//
// A client may give a reservation a time, after which it expires by itself; what ends it first counts, and commit of an
// expired one is refused. What a saga reserves has no time: the saga owns it and ends it, so that nothing expires behind
// its pivot.
//
// A count that finds more pieces than the books say, or fewer, is an adjustment: it never takes away what is promised.
//
// A second projection, daily_movement, follows the events on its own, in the order of their transactions and with its place
// in the table projection; once that row is locked it can be emptied and its place set back to 0, and is made anew while
// the service runs.
//
// The level can be asked for as of any event or time, and is written anew from the events where it is not their fold.
//
// Reads of single levels and items (GetStock, BatchGetStock, GetItem) come from a cache, and may be a little old; what is
// written goes there with its commit, by the version of its row, which a trigger counts. Nothing that decides reads it,
// and nothing that lists or tells the past. docs/caching.md says how old, and when to turn it off.
//
// Events: stock.received, stock.adjusted, reservation.held, reservation.released, reservation.committed,
// reservation.expired.
//
// What is written is written in batches: whatever waits of one kind (reserves, releases, commits, receipts) is decided
// in memory, in the order it came, and becomes one transaction of a statement a table, so that a SKU that many want at
// once is one row that changes once. Each request has its own result, its idempotency row and its event in that
// transaction: a crash leaves all of it or nothing, and the same request again gives the same answer. An RPC for one
// request is a batch of one.
package inventory
