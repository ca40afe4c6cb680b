// Package payment charges customers at a payment provider, gives money back, and keeps the ledger.
//
// It owns the tables payment (one charge and what became of it) and journal with posting (the ledger, which
// sums to zero per currency and is never changed: balances as of a time are the sum of what was written up to it).
// A payment is:
//
//	capturing ──► captured ──► refunded   the provider took the money, and gave it back
//	    │  │ └──► declined                the provider said no
//	    │  └────► voided                  undone before any money was taken
//	    └───────► unknown                 asked, and the answer was lost; goes on to captured, declined or voided
//
// state.go has the table, and what each state means after a restart.
//
// Charge and Refund are steps of a saga; Refund names the key of the Charge that it undoes, and when it comes
// first, the Charge is refused for ever. Both are: intent (durable) → call, outside any transaction → outcome, as
// an errand (package errand): the intents of a batch are one commit, the calls are made side by side, and the
// outcomes are one commit again, as far as they come within the batch's patience. A charge or refund that takes longer
// is answered as in flight and goes on; it outlives its caller, bounded by the provider's call timeout, so that an
// outcome is not lost because somebody stopped waiting. A request of its own is a batch of one that waits.
//
// After a crash, or when the answer was lost, nothing is assumed. The next request under the key looks up at the
// provider by the key first. That the provider knows nothing counts only when it must know by now: a charge may
// still be travelling, so last_sent_at is durable before each send, no send leaves later than the call timeout
// behind it, and NOT_FOUND is believed only past call timeout plus the provider's lag. Until then the charge is
// neither sent again nor voided. Void also demands that the charge was not sent again since the lookup began.
//
// Events: payment.captured, payment.declined, payment.unknown, payment.refunded, payment.voided.
package payment
