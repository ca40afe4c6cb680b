// Package pspsim is a payment provider over HTTP that misbehaves on demand: it
// captures, declines, answers late, or takes the money and never answers, as
// real card providers do. It keeps a journal of its own of every effect that
// happened, so it is also the outside witness that payments are proved against.
// It knows nothing of the services that call it.
//
// # Effects
//
// Three things can happen and stay: a charge (money captured), a decline (the
// attempt was refused for good) and a refund. Each is one [Entry] of the
// journal. An effect is written and fsynced before anybody can see it, in an
// answer, a lookup or the journal, so what was seen once survives a kill -9 of
// the process. When the journal cannot be written, nothing more takes effect:
// requests get 500, code journal_failed, and /healthz 503.
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
// bound to its request from the first valid one on. Keys whose request had an
// effect stay bound for ever; the others until the simulator restarts, which
// also forgets that pm_500_then_ok has failed once already.
//
// # Behaviours
//
// The payment method of a charge decides what happens to it:
//
//	pm_ok                captures
//	pm_declined          declines (402, insufficient_funds), on replays too
//	pm_timeout_after     captures and never answers, neither this request nor any later one of its key;
//	                     lookups and refunds work
//	pm_timeout_before    never captures and never answers
//	pm_500_then_ok       the first request of a key gets 500 and has no effect, the second captures
//	pm_slow              captures at once, answers after Options.SlowDelay; until then the key is in flight
//
// "Never answers" holds the connection until the client leaves or the server
// closes. A request that contradicts its key gets its 409 even then.
//
// # HTTP API
//
// Bodies are JSON objects of at most 64 KiB; unknown fields are refused. Amounts
// are whole minor units of the currency, times RFC 3339 in UTC.
//
//	POST /v1/charges
//	    {"amount_minor": 1250, "currency": "GBP", "payment_method": "pm_ok", "reference": "ord_1", "description": "…"}
//	    description may be left out; reference is at most 255 bytes, description at most 1000.
//	    201 a charge · 402 declined · 400 · 408 · 409 · 413 · 500
//	GET /v1/charges/{id}                    200 a charge, captured or declined · 404
//	GET /v1/charges?idempotency_key=K       200 {"data": [the charge of that key, if it has one]}
//
//	POST /v1/refunds
//	    {"charge": "ch_…", "amount_minor": 500}
//	    Without amount_minor all that remains is refunded.
//	    201 a refund · 404 no such charge · 400 amount_too_large, charge_already_refunded,
//	    charge_not_captured · 408 · 409 · 413 · 500
//	GET /v1/refunds?idempotency_key=K       200 {"data": [the refund of that key, if it has one]}
//
//	GET /v1/journal                         200 every effect in order, JSON Lines of [Entry]
//	GET /healthz                            200, or 503 when the journal has failed
//
// A charge, as it stands (a replay shows it as it was first answered):
//
//	{"id": "ch_…", "status": "captured", "amount_minor": 1250, "amount_refunded_minor": 0, "currency": "GBP",
//	 "payment_method": "pm_ok", "reference": "ord_1", "idempotency_key": "…", "created": "…"}
//
// status is captured or declined, with decline_code if declined. A refund:
//
//	{"id": "re_…", "status": "succeeded", "charge": "ch_…", "amount_minor": 500, "currency": "GBP",
//	 "idempotency_key": "…", "created": "…"}
//
// Every answer that is not 2xx, but for the plain 404 and 405 of an unknown
// route, is an error; code, decline_code, param and charge only where they apply:
//
//	{"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
//	           "param": "…", "message": "…", "charge": "ch_…"}}
//
// Types: card_error (402), invalid_request_error (400, 404, 408, 413),
// idempotency_error (409), api_error (500, 503). Only the first three are
// definite; after an api_error or no answer at all, ask by the key.
package pspsim
