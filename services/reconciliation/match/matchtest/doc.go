// Package matchtest makes rows to be matched of which it is known what belongs together and what is wrong: the planted truth. It
// is made from a seed, case by case, so that it can be of any size and can be written to files; and it judges what matching made
// of it.
//
// What makes matching hard is all there: a few prices that many rows have, rows whose only link is a key or a reference, rows that
// nothing links, captures in parts, refunds in parts, payouts of hundreds of lines that are off by what is wrong with their
// lines, and every code that matching can find.
package matchtest
