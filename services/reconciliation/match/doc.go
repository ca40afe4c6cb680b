// Package match decides which rows of two sides are the same money. It knows nothing but the rows and the rules it is given:
// the same rows under the same rules have the same result, whatever order they come in, and to the byte.
//
// The two sides of a partition – one account, one currency, one stage – are ours and theirs. Stage provider has what we booked
// against the provider's report; stage bank has the payouts of reports, and what is not paid through a provider, against the bank
// statement. Ordered passes take what they can prove and hand on the rest; what is left is classified as [Finding]s. Amounts
// alone prove nothing: a pass that goes by them takes only what has no other candidate, and what has several is AMBIGUOUS.
//
//	strong_id   the same id in the carriers of a [Pair], strongest first; with another amount a finding
//	payout      the lines of a payout come to its credit, with what is known to be off and what strays explain
//	composite   alone with its reference, wherever it stands, and amount; alone with its amount and day
//	window      no other candidate by amount and days, or with [Rules.Closest] the only cheapest assignment
//	fuzzy       of several such candidates, the one whose text is clearly the most similar
//	subset      the only subset that comes to the amount: of rows with the same id, or of so few that it is no chance
//	own         what needs no counterpart
//
// Payouts go ahead of composite, for an id proves more than a day. Between the passes by id and those by amount, what is two for
// one is taken out ([breaks.DuplicateExternal], [breaks.DuplicateInternal]). Two rows that carry different ids are never matched
// by amount; where only references differ, they are suggested to be the same ([breaks.ReferenceMismatch]).
//
// Rows of ours in doubt or refused are never matched. What theirs proves of them by id is a finding about both; by amount they
// take no part, and without a counterpart nothing is said of them. Every other row is in exactly one match, or in one finding at
// least; [Run] proves that of each result before it gives it away.
//
// What holds when rows come and go. A match by id depends on nothing but the rows that carry the same ids, also through others: all
// other rows change nothing about it. When a row goes that carries nothing that another one carries, and that is alone in its
// finding, every match stays. When a leg of a match goes, its other legs become open or AMBIGUOUS, or are matched with what was open
// before: by amount, because nothing speaks against it any more.
package match
