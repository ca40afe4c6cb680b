// Package dunning decides whether a recurring payment that was declined is tried again, and when. It knows no clock and
// no database: whoever asks says what time it is and what happened before.
//
// A decline comes with a code of the provider, in Stripe's vocabulary, and the table in codes.go says of what class it
// is. Hard: the issuer will not approve this card again, and the schemes charge for asking (Visa's category 1,
// Mastercard's advice codes 03 and 21). Correctable: nothing but a change to what was sent will help, such as a new
// expiry date (Visa's category 3), so there is no retry by itself, but the customer can be asked. Soft: it may go better
// later (Visa's categories 2 and 4). A code that is not in the table is most likely a soft one that is rare or new, but
// may be another word for never. So it may be tried again once: that costs a fee at worst, and the second answer is as
// telling as more.
//
// What is soft is tried again as long as four things allow it: the policy's delays, of which each retry uses up one; the
// last day on which it may be tried; the budget of the scheme for the payment method, which counts the declined attempts
// of whatever payments were made with it (budget.go); and the hours and business days of the customer, which are those
// of package calendar. Decide gives the earliest instant at which all of them do, or says which one never will.
//
// The instant is a promise about what is known when it is given. Other payments with the same method may be declined
// until then, so Decide is asked again before the retry is sent: it gives now, if now is still as good.
package dunning
