// Package audit checks a process' databases for violations of the system's invariants, in production as in tests.
//
// A check is a view inv_<number>_<name> in a service's database that gives what violates an invariant, one row a
// violation (id, detail), and none when it holds. The comment on the view is its kind and statement: "A: Every
// journal balances." The checks of a database are found in its catalogue, so a migration that adds a view adds a
// check. A view looks at its own service's tables only; what must hold between services is for a client of all of
// them to compare.
//
// [Auditor] runs the checks when an operator asks (AuditService), and by itself for the metric
// tieout.invariant.violations. A check runs in a read-only transaction that sees the database at one moment, with a
// time limit, and never two at once in a process: an audit may be slow, what it audits may not.
package audit
