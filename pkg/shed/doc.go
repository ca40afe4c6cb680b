// Package shed decides what is refused when there is more work than can be done, so that the least important goes
// first and what is admitted is done in good time.
//
// A [Gate] stands before the calls of a server. How many calls it lets through at once is a [Limit], which is found by
// trying: it grows while calls that people wait for take no longer than they should, and shrinks when they do. A call's
// [Class] says how much of it is the call's: what finishes started work goes past the limit, reports get half of it.
// What finds no room waits a moment, and only as long as it is likely to get in: the queue is bounded by time.
//
// A [Backlog] is work that outlasts the call that brought it, as orders do. It has a limit of its own, found by how
// long pieces of it wait for their turn; when it is full, new work is refused at the gate.
package shed
