// Package periodic runs background duties: work that a process repeats for as long as it lives, such as a relay, a
// sweep or an expiry.
//
// A duty is a function that does one round and says whether there is more to do; tests call that function directly.
// Everything about when it runs again, and what becomes of its errors and panics, is the one loop in Run.
package periodic
