// Package idem makes a mutating request take effect once, however often it is sent.
//
// A request is named by (caller, method, key). What came of it is one row, written in the transaction of the
// effect, so that the two cannot disagree:
//
//	in flight ──► done      the answer is stored and given again
//	    │   └───► refused   the definite refusal is stored and given again
//	    └───────► tombstone the request was compensated; it is refused for ever
//
// A use case that is one transaction runs under [Once]; where many requests share a transaction (package groupcommit),
// under [OnceAll], of which Once is the case of one request. One that calls somebody else in between – a payment
// provider, a carrier – begins under [BeginAll] and ends under [EndAll]: the intent is durable before the call, and
// the row carries a claim with a lease and an attempt number, so that a second request knows of the first, and after
// a crash the next one resumes with what the first had made. An outcome that is not known is never stored: the next
// request resumes it. Package errand runs such a use case from its beginning to its end.
//
// The compensation of a step names the step's key. [UndoAll] and [BeginUndoAll] turn the step's row into a tombstone
// in the compensation's transaction, or make one when the step was never seen.
//
// Whoever owns a saga's shard sends its requests with a fencing number. The row keeps the highest that was seen, and a
// lower one is refused: the owner that was followed by another one changes nothing any more.
//
// How often an answer was given again is counted in its row, and [Find] shows what is known of a key.
//
// Two requests under one key must mean the same. That is compared by a fingerprint over the fields the method
// declares, in their order, not over encoded bytes, which may differ between versions of a client.
package idem
