// The command bench measures Tieout side by side with its peers, and with what the machine could do at best.
//
// Each case has a subject: a system that is started for it alone, with a Postgres of its own whose settings are the same for
// all. First units of work are kept under way, always so many at once, which tells the rate at saturation. Then they come at
// random, whatever became of those before, at shares of that rate; there latency counts from when a unit was to begin. Costs
// are read from outside: processor time from /proc, of the subject's process, of its Postgres with all backends, and of this
// process, which makes the load; commits, rows and WAL from Postgres.
package main
