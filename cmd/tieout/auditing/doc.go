// Package auditing finds out whether the system's invariants hold: it has each process check its own databases
// (AuditService), and compares what the services answer about the same orders, SKUs and payments, and what the payment
// provider's own journal says of them. What is said here of orders holds for recurring payments as well.
//
// A comparison reads while the system works. It judges only orders that are at rest, and as its lists are not read at
// one moment, what it finds is a suspicion at first: then everything is compared once more, and what is wrong again is
// a violation. An order that was at rest the first time has all its effects visible the second time.
//
// The lists come newest first, and are walked side by side: what services hold for an order is kept only until the
// order itself comes up. In memory are at most the SKUs, the provider's journal, a checksum of each batch, and what is
// wrong. Only of a batch whose checksum is not that of its sagas the items are looked at one by one.
package auditing
