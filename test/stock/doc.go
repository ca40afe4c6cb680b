// Package stock holds the test that many clients reserve and release pieces of one SKU while the service that serves them
// is killed again and again.
//
// The clients work in rounds: in each, every one of them does a few things, and sends each again under its key until it
// knows the answer. Between two rounds nothing is under way, and the level that is read then is all that a later answer
// can depend on. So the whole is linearizable when each round is, from the level before it to the level after it, and
// however long the test runs no more than a round has to be searched at once.
package stock
