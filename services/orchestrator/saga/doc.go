// Package saga decides what a saga does next. It knows no clock, no database and no network: a definition and a
// state go in, commands come out; what happened goes in, events come out; and a state is nothing but the fold
// of its events.
//
//	Next(def, state, now)                      what to do: execute, look up, compensate, wait, or record a decision
//	Observe(def, state, command, outcome, …)   what the outcome of a command means, as events to be recorded
//	Apply(def, state, event)                   the state after an event
//
// The caller makes events durable before it acts on what follows from them. That alone makes a crash harmless:
// a step is open – it may have been sent – from the event that made it current, so whatever was sent before
// the crash is asked again under the same key, or compensated.
//
// What the rules promise:
//   - Steps run in order; an unknown outcome is asked again and never counts as a failure.
//   - What a participant has taken over is pending: that is recorded once, costs no attempt, and may have happened. Only
//     its outcome, the deadline before the pivot, or a person ends it.
//   - A pivot that has a look-up is looked up after an unknown outcome, and executed again only if its participant
//     has never seen it.
//   - The decision to compensate is an event of its own, with its cause, before the first compensation.
//   - Compensation runs in reverse over every step that may have been sent, the one in doubt first.
//   - From the pivot on there is no way back: what does not go forward is parked for a person.
package saga
