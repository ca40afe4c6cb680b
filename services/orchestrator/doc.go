// Package orchestrator takes orders in and drives each through the services as a saga, and so it does with the recurring
// payments that billing has made.
//
// It owns the tables orders (what was placed, never changed), recurring_payment (what billing has started; the same), saga_event (the truth about each saga), saga (its
// projection), operator_action (who decided what, and why) and timeline (what the other services' events said of an
// order). What a saga is, and what it does next, is decided in the pure package saga; the definitions are in order.go
// and recurring.go, what their calls send in steps.go.
//
// It further owns shard, replica and shard_term (who drives which sagas), and saga_definition (what they run).
//
// Sagas hash to 64 shards. A replica owns shards under a lease, each in an epoch that rises with every owner, and holds
// their live sagas in memory (engine.go, shards.go): it does what Next says, makes the events of the outcome durable,
// and goes on from there. Sagas whose next step is the same call travel together (lane.go); those that wait for a time
// are with the timers. Any replica takes orders in, answers questions, and lets operators write; the owner is told on
// NATS (wake.go), and finds what it was not told of by a slow scan.
//
// An owner's write carries its epoch and is refused when the shard has another one by now; whoever writes a saga's
// next event locks its row and finds the last one to be the one it knew, or writes nothing. So a replica that was
// stopped for a while, and does not know that it lost its shards, does no harm.
//
// After a crash the shards are taken over when the lease has ended, and their live sagas are read and driven on. A
// step that was open may have been sent; it is asked again under the same key, and the participant answers what it did
// the first time.
//
// People operate on one saga, or on all that a filter holds for: bulk_operation, bulk_item and bulk_total are such
// operations, planned and then gone through in the background by whichever replica is free. Whatever a person does is
// written with its audit row, on any replica, which then tells the owner of the saga.
//
// Events: order.placed, order.compensating, order.completed, order.compensated, order.parked, recurring.completed,
// recurring.compensated, recurring.parked.
package orchestrator
