// Package tieout decides whether what the services did to an order, or a recurring payment, goes together: saga, payments,
// stock and shipment. It is given what was told of it, or what the owners answer, and says what does not tie, by rules that
// are a table (rules.go, printed in docs/tie-out.md). It decides and does nothing.
//
// [Facts] are what events have told so far: joined in any order, with any event twice, they come to the same. An [Order] is
// the whole picture, as the owners have it; facts make one where they are enough.
package tieout
