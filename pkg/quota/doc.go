// Package quota bounds how much each caller may ask for, by class of method: one that asks for too much is refused, and
// the others do not notice.
//
// The rules are configuration, and can be replaced while the process runs. A quota is one token bucket for each caller
// and class that a rule holds for, and the replicas of a service share it: each gives out the part of it that is asked
// of it, as part of what is asked of all. They tell each other over NATS, once a second and without a database; while
// NATS is away each goes on with what it last heard. How many buckets there are is bounded: one that is full says
// nothing and is forgotten, and when there are too many the callers without one share one.
package quota
