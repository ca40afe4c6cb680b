// Package ledger decides what payments mean in double entry. A journal is a set of postings that sums to zero in
// each of its currencies; one that does not cannot be made. What each kind of journal posts is a table, in kinds.go.
package ledger
