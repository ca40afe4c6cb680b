// Package inventory keeps stock.
//
// It owns the tables stock_event (the truth), stock_level (a projection of it, written in the same transaction)
// and reservation. A reservation is held, and then released or committed:
//
//	held ──► released   the pieces are available again
//	   └───► committed  the pieces have left the warehouse
//
// Reserve, Release and Commit are steps of a saga. Release names the key of the Reserve that it undoes; when it
// comes first, the Reserve is refused for ever.
//
// Events: stock.received, reservation.held, reservation.released, reservation.committed.
//
// Every use case is one transaction, with its idempotency row and its event: a crash leaves all of it or
// nothing, and the same request again gives the same answer.
package inventory
