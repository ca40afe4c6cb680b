// Package cache keeps what is read often and changes seldom: in process, and on Redis where that is configured. It is
// for answers that may be a little old. What decides never reads it.
//
// A read looks into the memory of the process, then on Redis, then calls Load. Whatever is found further out is kept
// further in (cache-aside). Whoever changes something puts it here after the commit (write-through), and tells the
// other replicas on NATS which keys changed, and to which version; they forget what is older.
//
// Versions. Each value has a version that its owner raises with every change, under the lock under which it changes it.
// A key that does not exist has version 0. No tier replaces an entry by one of a lower version: in process that is a
// comparison under the lock of the entry, on Redis a script. So it does not matter in which order a slow reader, a
// writer and a message arrive. A version is remembered longer than its value: a replica of Redis that lags behind
// cannot bring back what this process knows to be old. And a value that changed while it was being loaded is loaded
// again.
//
// Staleness. An entry's time runs from the moment before it was read from the database, or written to it, wherever it
// travels: a value that comes from Redis is kept for what remains of its life there, and what was under way for longer
// is not kept at all. So an answer is never older than
//
//	TTL                    of an entry, without Redis
//	Redis.TTL              of an entry, with Redis (plus what the clocks of the replicas are apart)
//	NegativeTTL            of a key that did not exist
//
// even when every message is lost and every write to Redis fails. Usually it is as old as a message on NATS takes. On
// the replica that wrote, a read that begins after the write was answered sees it, unless Size has pushed it out of memory.
//
// Redis. It saves reads of the database, and nothing depends on it: what is slow, down or says nonsense is a miss. Every
// call has a short deadline; a breaker a server sees to it that one that does not answer is not asked each time. Values
// are written to the primary, by one goroutine that nobody waits for, and read from the replica; when that fails, from
// the primary. What cannot be written is dropped, and lives out its time. Services that keep different databases must
// not share a database of Redis.
//
// Stampede. Of those who miss a key at the same time one loads it and the others wait for it; when its caller goes away
// the next one loads. Reading many keys is one load for all that are missing.
//
// Metrics, each with the cache's name: tieout.cache.reads by tier and result (hit, negative, miss), so that the hit ratio
// is the hits of all over the misses in memory and its hits; tieout.cache.loads; tieout.cache.age, how old answers were
// in seconds; tieout.cache.forgotten, the keys that other replicas told of; and, of Redis, tieout.cache.fallbacks by
// server and cause (error, open, garbage, full) and tieout.breaker.state.
package cache
