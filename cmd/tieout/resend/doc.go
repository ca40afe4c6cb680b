// Package resend asks again, under the same idempotency key, when an answer was lost: the key makes that safe.
package resend
