// Package orderfile reads files of orders: JSON Lines of PlaceOrderRequest, or CSV with a row for each line of an
// order.
//
// Files are read as a stream, in constant memory for JSON Lines. CSV is read twice, first to learn where each
// order ends, for the rows of an order need not follow each other and an order must not be placed without its last
// row: that takes some 50 bytes an order, and the rows of those orders that are interrupted by others.
//
// What cannot be made into an order is refused on its own, with its line, and the rest is read on. Where a value
// can be expressed in the API it is left to the server to judge.
package orderfile
