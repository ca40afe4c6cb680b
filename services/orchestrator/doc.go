// Package orchestrator takes orders in and drives each through the services as a saga.
//
// It owns the tables orders (what was placed, never changed), saga_event (the truth about each saga), saga (its
// projection), operator_action (who decided what, and why) and timeline (what the other services' events said of an
// order). What a saga is, and what it does next, is decided in the pure package saga; the definitions are in order.go,
// what their calls send in steps.go.
//
// One replica drives at a time, chosen by a lock in Postgres; any replica takes orders in and answers questions.
// The driving one holds each live saga in memory: it does what Next says, makes the events of the outcome
// durable, and goes on from there. Whoever writes a saga's next event locks its row and finds the last one to be the
// one it knew, or writes nothing; so a replica that lost the driver's lock without noticing does no harm.
//
// After a crash the live sagas are read and driven on. A step that was open may have been sent; it is asked again
// under the same key, and the participant answers what it did the first time.
//
// People operate on one saga, or on all that a filter holds for: bulk_operation, bulk_item and bulk_total are such
// operations, planned and then gone through in the background by whichever replica is free. Whatever a person does is
// written with its audit row, on any replica, which then tells the owner of the saga.
//
// Events: order.placed, order.compensating, order.completed, order.compensated, order.parked.
package orchestrator
