// Package shipment has a carrier bring what was ordered.
//
// It owns the tables shipment, tracking_event (what carriers have told of shipments: added to, and never changed) and
// operator_action (what people did). A shipment is scheduling until the carrier's answer is known:
//
//	scheduling ──► scheduled ──► cancelled
//	    │   └──────────│────────────┘
//	    │              └───────► handed over ──► in transit ──► delivered, returned, lost
//	    └────────► refused
//
// Schedule and Cancel are a step of a saga and its compensation. Cancel names the key of the Schedule that it
// undoes; when it comes first, the Schedule is refused for ever and the carrier is not asked. A request says which
// owner of its saga sends it, and which trace the saga is: one of an owner that was followed by another is refused.
//
// Events: shipment.scheduled, shipment.refused, shipment.cancelled, shipment.handed_over,
// shipment.in_transit, shipment.delivered, shipment.returned, shipment.lost.
//
// What the carrier has is not cancelled any more: SHIPMENT_HANDED_OVER, a refusal and not an unknown outcome, with which
// the saga is parked. A shipment that is known to be handed over is left as it is, with its Schedule. Where the carrier
// says so when it is asked to cancel, the Schedule is refused from then on as after every Cancel, the shipment is handed
// over, and stays so.
//
// An operator may have a shipment cancelled that is scheduled (CancelShipment, decide.go), with a reason and an audit row in
// the transaction that begins it. What may or may not be scheduled is not cancelled so: it is found out first. The order
// goes on, and its saga's Schedule is answered as before.
//
// A request may name its carrier and service level; what none is named for goes by the default one, as standard. Whom a
// shipment was given to is written down with its intent: whatever the default is later, nobody else is asked about it.
// Of an address only the country must be there; the rest is for the carrier.
//
// The carrier is called between two transactions (package errand): the intent is durable before it is asked, and the
// answer is written with the event. What is asked for together shares both: a batch is one commit before the carrier
// and one after, with a statement a table, and an RPC for one request is a batch of one. The asking goes on when the
// caller has left, or does not wait any longer for the slowest of a batch.
//
// A crash in between, or an answer that was lost, leaves the request in flight; the next one under the key asks the
// carrier again, which answers as it did before because it knows the key. BatchLookUpSchedule finds out what became of
// such a request without booking anything, and concludes it with what the carrier knows.
//
// A duty (look.go) asks the carriers of their own accord: how far a shipment is, at 1 m, 5 m, 15 m, then hourly, and from
// the beginning again when something was new; and what became of one in doubt whose saga asks no more, at 10 s, 1 m, 5 m,
// 1 h, then daily. The latter is the same request again, as if whoever asked first had come back: a Schedule is looked
// up, and never sent; only a Cancel that was begun is sent again. So nothing is scheduled twice, nor cancelled on a guess:
// a shipment of which the carrier knows nothing stays scheduling. The next time is written before the carrier is asked,
// so that who dies while it asks has only looked in vain. Each event of a carrier is taken down once, by its id, in the
// transaction that changes the shipment and tells of it.
package shipment
