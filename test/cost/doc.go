// Package cost holds the test that an order does not begin to cost more: what it writes and what it asks of Postgres and
// of the stream, which does not depend on the machine. It is a package of its own for it counts what the process allocates.
package cost
