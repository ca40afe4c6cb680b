// Package pspsim is a payment provider over HTTP that misbehaves on demand: it
// captures, declines, answers late, or takes the money and never answers, as
// real card providers do. It keeps a journal of its own of every effect that
// happened, so it is also the outside witness that payments are proved against.
// It knows nothing of the services that call it.
//
// # Effects
//
// What can happen and stays: a charge (money taken), an authorization (money set
// aside), its capture, in part or whole, or its void, a refund of what was taken,
// in parts, and a decline (a charge or authorization was refused for good). And
// what nobody asked for: a chargeback (the customer's bank took money back, in
// part or whole), and its reversal. Each is one [Entry] of the journal. Of each charge and capture the provider keeps a
// fee of 1.5 % and 20 minor units. An effect is written and fsynced before anybody can see it, in an
// answer, a lookup or the journal, so what was seen once survives a kill -9 of
// the process. When the journal cannot be written, nothing more takes effect:
// requests get 500, code journal_failed, and /healthz 503.
//
// # Chargebacks
//
// They are made by [Server.Chargeback] and [Server.ReverseChargeback], or over HTTP. All that was captured can be
// taken back, even what was refunded, as banks do; what is taken back cannot be refunded (charge_disputed) before the
// chargeback is reversed. For a chargeback the provider takes a fee of 1500 minor units, or what it is told; a reversal
// gives it back on demand.
//
// # Idempotency
//
// Every POST needs an Idempotency-Key of 1 to 255 printable ASCII characters.
// Keys are shared by all endpoints, as at real providers: a refund needs another
// key than its charge.
//
//	same key, same request        the first answer, with the header Idempotent-Replayed: true
//	same key, other request       409 idempotency_error, code key_reused
//	same key, still in flight     409 idempotency_error, code key_in_flight, with Retry-After (seconds)
//
// "Same request" compares the endpoint and every field, not the bytes. A key is
// bound to its request from the first valid one on, for Options.KeyLifetime (24 h):
// then it is forgotten, and a request with it takes effect anew. Lookups find what
// it has brought about for ever, all of it. Keys whose request had no effect are
// bound until the simulator restarts, which also forgets how often they have failed.
//
// # Faults
//
// The payment method of a charge or authorization decides what happens to it:
//
//	pm_ok                captures
//	pm_declined          declines (402, insufficient_funds), on replays too; also pm_lost_card, pm_expired_card
//	pm_timeout_after     captures and never answers, neither this request nor any later one of its key;
//	                     lookups and refunds work
//	pm_timeout_before    never captures and never answers
//	pm_500_then_ok       the first request of a key gets 500 and has no effect, the second captures
//	pm_500_after         the first request of a key captures and gets 500, the second the answer
//	pm_429_then_ok       as pm_500_then_ok, with 429 and Retry-After
//	pm_malformed         captures, and every answer breaks off in mid JSON
//	pm_other_amount      captures 0.01 more than was asked for
//	pm_drip              captures, and every answer comes a byte each 100 ms
//	pm_slow              captures at once, answers after Options.SlowDelay; until then the key is in flight
//	pm_lag               as pm_500_after, and lookups do not find it before Options.SlowDelay
//	pm_lookup_fails      captures, and answers 500 to every request and lookup
//
// What follows a charge goes wrong with pm_capture_…, pm_void_… and pm_refund_…, and the names above from timeout_after
// to slow: pm_refund_500_after is charged, and the first request for a refund gets 500 although it happened.
//
// Any operation goes wrong on demand, by [Server.Inject] or over HTTP: a [Fault] is
// for a payment method, an operation, both or all, for requests or for lookups, and for the next so many
// of them, or until it is cleared. "Never answers" holds the connection until the
// client leaves or the server closes. A request that contradicts its key gets its
// 409 even then. [Server.Down] takes all of it down for a while.
//
//	what providers do               payment method         on demand
//	never answer, nothing happens   pm_timeout_before      timeout_before
//	never answer, it happens        pm_timeout_after       timeout_after
//	lose the answer, before, after                         lost_before, lost_after: the connection dies at once
//	5xx, nothing happens            pm_500_then_ok         error_before, with a status
//	5xx, it happens                 pm_500_after           error_after, with a status
//	429                             pm_429_then_ok         rate_limited, with retry_after
//	malformed                       pm_malformed           malformed
//	another amount                  pm_other_amount        other_amount, with amount_delta
//	a slow drip, a slow answer      pm_drip, pm_slow       drip, slow, with delay_ms
//	declines                        pm_declined, …         decline, with decline_code
//	lookups lag, lookups fail       pm_lag, …              not_found with delay_ms; any of the above but other_amount
//	                                                       and decline, with "lookup": true
//	keys are forgotten              after KeyLifetime      DELETE /admin/keys
//	webhooks twice, late, reordered                        PUT /admin/webhooks
//	webhooks forged                                        POST /admin/webhooks/forge
//	down, by 503 or refusing                               POST /admin/down
//	chargebacks                                            POST /admin/chargebacks
//
// The next capture's answer is lost: POST /admin/faults {"fault": "lost_after", "op": "capture", "count": 1}
//
// # Webhooks
//
// Every effect is told to the URL of [Webhooks], in order, and again, up to 8 times,
// until it is answered 2xx: duplicated, late or reordered on demand, and forged by
// [Server.Forge]. What waits when the simulator ends is never sent; [Server.HurryWebhooks]
// has nothing wait before its receiver ends.
//
//	Psp-Signature: t=1700000000,v1=5257a869…        hex of HMAC-SHA256(secret, "1700000000." + body)
//	{"id": "evt_…", "type": "charge.succeeded", "created": "…", "op": "charge", "data": the charge, capture, …}
//
// The type is the op with .succeeded or .declined, but for charge.chargeback and charge.chargeback_reversed (op
// chargeback and chargeback_reversal), whose data is the chargeback. Only these two carry a fee, fee_minor: those of
// charges and captures are in the settlement and the journal.
//
// # Settlement
//
// What was taken less refunds and fees is paid out, a payout a UTC day and currency,
// on the day after; a chargeback is collected, and its reversal paid out, by itself.
// GET /v1/settlement has that as the itemized payout reconciliation report of Stripe,
// or as the bank's statement in camt.053 or MT940, of all currencies or of one, with
// as many discrepancies as wanted; it says which. The totals of a file are always its own.
//
// # HTTP API
//
// Bodies are JSON objects of at most 64 KiB; unknown fields are refused. Amounts
// are whole minor units of the currency, times RFC 3339 in UTC.
//
//	POST /v1/charges
//	    {"amount_minor": 1250, "currency": "GBP", "payment_method": "pm_ok", "reference": "ord_1", "description": "…",
//	     "authorize_only": true}
//	    description and authorize_only may be left out; reference is at most 255 bytes, description at most 1000.
//	    201 a charge · 402 declined · 400 · 408 · 409 · 413 · 500
//	GET /v1/charges/{id}                    200 a charge, captured or declined · 404
//	GET /v1/charges?idempotency_key=K       200 {"data": [the charge of that key, if it has one]}
//
//	POST /v1/refunds, /v1/captures, /v1/voids
//	    {"charge": "ch_…", "amount_minor": 500}
//	    Without amount_minor it is all there is; a void has none. An authorization is captured once, and what is not
//	    captured is released.
//	    201 a refund, capture or void · 404 no such charge · 400 amount_too_large, charge_already_refunded,
//	    charge_disputed, charge_not_captured, charge_not_authorized, charge_already_captured, charge_voided · 408 · 409 · 413 · 500
//	GET /v1/refunds?idempotency_key=K       200 {"data": [the refund of that key, if it has one]}; captures, voids alike
//
//	GET /v1/settlement?format=stripe-csv    200 a [Settlement]; camt053, mt940; plant=N discrepancies, chosen by seed=S; currency=C
//	    convert=USD:EUR:0.92 settles what is in one currency in another one, at a rate
//
//	POST /admin/faults                      a [Fault] · GET what is left of them · DELETE all
//	DELETE /admin/keys                      forgets every idempotency key that is not in flight
//	POST /admin/down                        an [Outage] · DELETE ends it, unless connections are refused
//	POST /admin/chargebacks                 a [ChargebackOrder] · 200 a chargeback · 404 · 400
//	POST /admin/chargebacks/reverse         a [ReversalOrder] · 200 the chargeback · 404
//	PUT /admin/webhooks                     [Webhooks]
//	POST /admin/webhooks/forge              200 {"status": what the forged webhook was answered}
//
//	GET /v1/journal                         200 every effect in order, JSON Lines of [Entry]
//	GET /healthz                            200, or 503 when the journal has failed
//
// A charge, as it stands (a replay shows it as it was first answered):
//
//	{"id": "ch_…", "status": "captured", "amount_minor": 1250, "amount_captured_minor": 1250,
//	 "amount_refunded_minor": 0, "amount_disputed_minor": 0, "currency": "GBP",
//	 "payment_method": "pm_ok", "reference": "ord_1", "idempotency_key": "…", "created": "…"}
//
// status is captured, authorized, voided or declined, with decline_code if declined. A refund, and alike a capture
// (cp_…) or a void (vo_…):
//
//	{"id": "re_…", "status": "succeeded", "charge": "ch_…", "amount_minor": 500, "currency": "GBP",
//	 "idempotency_key": "…", "created": "…"}
//
// A chargeback; of a reversal, status is reversed, and fee_minor less than zero or zero:
//
//	{"id": "dp_…", "status": "open", "charge": "ch_…", "amount_minor": 500, "fee_minor": 1500, "currency": "GBP",
//	 "created": "…"}
//
// Every answer that is not 2xx, but for the plain 404 and 405 of an unknown
// route, is an error; code, decline_code, param and charge only where they apply:
//
//	{"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
//	           "param": "…", "message": "…", "charge": "ch_…"}}
//
// Types: card_error (402), invalid_request_error (400, 404, 408, 413),
// idempotency_error (409), api_error (5xx); 429 is invalid_request_error, code rate_limit. Only card_error and
// invalid_request_error with 400, 402 or 404 are
// definite; after an api_error or no answer at all, ask by the key.
package pspsim
