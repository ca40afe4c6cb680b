// Package systemtest is the kit of tests that cross services: the world around them (a Postgres database each, NATS,
// the payment provider's simulator, which is the outside witness), and what must hold in that world when it is quiet.
package systemtest
