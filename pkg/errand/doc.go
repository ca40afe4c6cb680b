// Package errand runs requests that call somebody else between two transactions: a payment provider, a carrier.
//
// The intents of what is asked together are one commit (package idem, through a group of package groupcommit); then
// each is worked on by itself, a bounded number at once, and what comes of it is written through another group.
//
// What a caller may rely on:
//   - From its intent on an errand goes on whether or not somebody waits for it, until its time is up; its answer is
//     found by asking again under the same key.
//   - A batch does not wait for its slowest: when for a short patience none of it got done, what has not ended is answered
//     IDEMPOTENCY_KEY_IN_FLIGHT. So is, at once, what another request is working on. A single request waits for both,
//     up to its deadline.
//   - When the process stops, no more errands are begun, and those that run are waited for before their groups end,
//     for 3 s at the most: then their calls are cut, which ends them as calls without an answer. What ends with the
//     process is resumed by the next request when its lease has ended.
package errand
