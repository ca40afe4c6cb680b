// Package match decides which rows of two sides are the same money. It knows nothing but the rows and the rules it is given:
// the same rows under the same rules have the same result, whatever order they come in, and to the byte.
//
// The two sides of a partition – one account, one currency, one stage – are ours and theirs. Stage provider has what we booked
// against the provider's report; stage bank has the payouts of reports, and what is not paid through a provider, against the bank
// statement. Ordered passes take what they can prove and hand on the rest; what is left is classified as [Finding]s. Amounts
// alone prove nothing: a pass that goes by them takes only what has no other candidate, and what has several is AMBIGUOUS.
package match
