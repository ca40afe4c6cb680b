// Package payment charges customers at a payment provider, sets money aside and takes it later, gives money back, and
// keeps the ledger.
//
// It owns the tables payment (one charge or authorization and what became of it), operation (each thing that the
// provider was asked for about it, under a key of its own), webhook (what the provider told of its own accord),
// provider_hold and operator_action (what people did), and journal with posting (the ledger, which sums to zero per
// currency and is never changed: balances as of a time are the sum of what was written up to it).
//
// state.go has the states of a payment and all that can happen to it, printed in docs/reference/payments.md, and what
// each state means after a restart. At most one operation of a payment is open: sent, or unknown because the answer was
// lost. operation.go says what each finding about it makes of both (learn), plan.go what a request leads to.
//
// Every request that takes effect is a command, and goes the same way, as an errand (package errand): intent (durable,
// begin.go) → call, outside any transaction (work.go) → outcome (outcome.go). The intents of a batch are one commit, the
// calls are made side by side, and the outcomes are one commit again, as far as they come within the batch's patience.
// What takes longer is answered as in flight and goes on; it outlives its caller, bounded by the provider's call timeout,
// so that an outcome is not lost because somebody stopped waiting. A request of its own is a batch of one that waits.
// Refund undoes the Charge of the same key, and Void the Authorize: when they come first, that one is refused for ever.
//
// After a crash, or when the answer was lost, nothing is assumed: the provider is asked by the key what became of the
// operation. Who asks is the next request under the key, any later request on the payment, the resolver (resolve.go: at
// 2 s, 10 s, 1 m, 5 m, 1 h, then daily), a person (InquirePayment), or the provider tells by a webhook. That the
// provider knows nothing counts only when it must know by now: an operation may still be travelling, so last_sent_at is
// durable before each send, no send leaves later than the call timeout behind it, and NOT_FOUND is believed only past
// call timeout plus the provider's lag. Until then it is neither sent again nor given up. Past 80 % of the time for which
// the provider remembers keys it is not sent again at all. What is written down demands that the operation was not sent
// again since it was looked at.
//
// While the provider's breaker is open, or an operator holds it open, new requests are refused (DESTINATION_DOWN) before
// anything is written; what undoes a payment is written all the same.
//
// Webhooks are taken in once and durably, and only then acknowledged; they are evidence like any other. One that tells what
// is known is put by as it is taken in; the others are applied afterwards. One that contradicts the books is kept as such, and
// logged as an error.
//
// What follows from payments is posted with them. Payouts, fees, write-offs and corrections are posted when somebody has
// decided on them (journal.go): once per request, once per kind and key, and with an audit row.
//
// Events, none of which tells of an intent alone: payment.authorized, captured, declined, unknown, resolved, refunded, voided, chargeback and
// chargeback_reversed; journal.posted; breaker.changed.
package payment
