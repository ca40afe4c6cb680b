// Package formats reads the statements that banks and payment providers send, each format in a file of its own:
// camt.053 and camt.054 (ISO 20022), MT940 and MT942 (SWIFT), BAI2, the itemized payout reconciliation report of Stripe,
// and CSV whose columns a mapping names.
//
// [Read] streams: a statement begins, its lines follow, and it closes; memory does not grow with the file. What a format
// leaves open – a two-digit year, where a reference stands, what a code means – is decided here, so that behind this package
// a line is a line. Amounts are exact; a value that is none, or has more decimals than its currency, is an error and never
// rounded.
//
// A file proves itself: whatever control it carries – balances, totals, counts, net amounts – comes as a [Proof] with what
// it states and what its lines come to. A proof that does not hold is no error: reading goes on, so that all that do not hold
// are known, and who takes the file in refuses it as a whole. What cannot be read is an [Error] that names file, line and
// field, and ends reading.
package formats
