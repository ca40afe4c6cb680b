// Package shipment has a carrier bring what was ordered.
//
// It owns the table shipment. A shipment is scheduling until the carrier's answer is known:
//
//	scheduling ──► scheduled ──► cancelled
//	    │   └───────────────────────┘
//	    └────────► refused
//
// Schedule and Cancel are a step of a saga and its compensation. Cancel names the key of the Schedule that it
// undoes; when it comes first, the Schedule is refused for ever and the carrier is not asked.
//
// Events: shipment.scheduled, shipment.refused, shipment.cancelled.
//
// The carrier is called between two transactions: the intent is durable before it is asked, and the answer is
// written with the event. A crash in between, or an answer that was lost, leaves the request in flight; the next
// one under the key asks the carrier again, which answers as it did before because it knows the key. A shipment
// whose Schedule is never asked again stays scheduling until it is cancelled.
package shipment
