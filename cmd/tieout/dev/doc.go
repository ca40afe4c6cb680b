// Package dev runs the whole system on this machine: a private Postgres, NATS, the payment provider simulator and all
// services in this process.
//
// A data directory holds (of an ephemeral system, the first three are in a temporary directory instead)
//
//	postgres/      the databases, one and a role a service; a link when root keeps the directory where others cannot pass
//	nats/          the streams
//	redis-primary/, redis-replica/   their logs; what they hold is in memory only
//	psp.jsonl      the journal of the payment provider simulator
//	tieout.log     the services' log; tieout.log.1 is that of the run before
//	ready.json     where everything is, while it serves
//
// and is locked by the process that uses it. Only Postgres and Redis are processes of their own, and they end with
// this one, however that ends.
package dev
