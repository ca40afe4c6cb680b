// Package billing has payments made that recur: files of them, each payment charged once, and the whole proven.
//
// It owns the tables batch (a file of payments, with its counters), batch_sum (what it comes to, per currency),
// batch_item (one payment each), item_attempt (attempts that were followed by others), batch_rejection (rows of the file
// that are no items), batch_proof, card_decline, provider_limit and operator_action (who
// did what, and why).
//
// A batch and its items:
//
//	planned ──► running ⇄ paused               planned ──► running ──► succeeded
//	   │           │                              │  ▲        ├──────► failed ──► planned, tried again
//	   │           ├──► finished ──► running       │  └────────│──────────┘
//	   └───────────┴──► cancelled                  └► cancelled └──► unknown ──► succeeded, failed
//
// Upload (upload.go): a file is read row by row and written in pieces, so that its size does not matter; only when all of
// it is there it becomes a batch, in one transaction, with its plan: counts, sums, rejected rows, duplicates, and the
// variance against the last batch of its series. An upload that breaks off leaves rows that nobody sees, which a duty
// removes. A file whose items are those of another batch is refused, unless that is said to be on purpose.
//
// Feeding (feed.go): one replica at a time, the one that holds a lock, starts items: the next ones of a batch, in the
// order of the file, are marked as running in one transaction, and then handed to the orchestrator in one call, each under
// the key of its batch, line and attempt. Who dies in between leaves items that are marked and not started; whoever takes
// over hands everything in again that is running, which the orchestrator answers as before. How many may be under way
// at a provider account, and how many are started in a second, is said by provider_limit, and holds from one round to the
// next.
//
// Settling (settle.go): what came of an item comes back as an event of its saga, through the inbox and hundreds at a time,
// and is written with the counters. An item is settled once for each attempt; one that is in doubt is settled when a person
// has found out. What is in doubt is never tried again.
//
// Proof (prove.go): when nothing of a batch is left to be done, its items are added up again and compared with the
// plan – their number, their sums, the hash over all of them – and with the counters; the proof is stored, with a hash over
// what came of each item. What is settled later makes another proof.
//
// Dunning (dunning.go): each attempt that a provider declined is a row of card_decline, whatever batch it was of. Where a
// batch has a policy, the pure package dunning decides, in the transaction that settles the item, whether and when it is
// tried again; a duty tries what is due, after it was decided anew. An item that is not tried any more is told of.
//
// Schedules (schedule.go, occurrence.go): what recurs by itself is in the tables schedule, occurrence and holiday_list.
//
//	schedule:    active ⇄ paused, both ──► ended            occurrence:  queued ──► run, skipped
//	                                                                     run, skipped, missed
//
// A schedule's rule, in the pure package calendar, names civil dates, and each is due at an instant. The identity of an
// occurrence is its schedule and its nominal date, which is its key in the database: nothing gives a date a second one, not
// a clock that is put back, nor a rule that is changed, nor a person who triggers it. A duty (schedule_run.go), in all
// replicas at once, takes schedules that have something due and that nobody else is at, and decides on all dates up to
// now: what was missed by the misfire policy, what overlaps an earlier run by the overlap policy. What is to run
// becomes a batch for each provider account, running from the start, whose items are named "<schedule>/<date>"; it is
// fed, settled and proven as any other. Batch, occurrences, what is next and the events are one transaction: who dies
// before it has decided nothing, and who dies behind it leaves a batch that whoever feeds finds. What waits for an
// earlier run is looked at when that has an outcome; one in doubt has none.
//
// Whatever is done to a schedule (schedule_change.go) first decides on what was due until then, by what held until then.
// So a pause skips what falls due behind it and nothing before, and new terms are for what is due from now on. What falls
// due during a pause is skipped as it passes; what waited goes on waiting, and ending a schedule skips it.
//
// Whoever changes holidays (holiday.go) holds the list and then its schedules, by id; whoever is about to go by a list
// holds that before the schedule. What is next is found anew from the nominal dates, so that a list moves what is due
// and neither loses nor doubles it.
//
// Whoever writes items holds the row of their batch, in the order of their ids where there are several.
//
// Events: batch.planned, batch.started, batch.paused, batch.resumed, batch.cancelling, batch.ended, dunning.ended,
// schedule.created, schedule.updated, schedule.paused, schedule.resumed, schedule.ended, schedule.occurrence_missed,
// schedule.occurrence_skipped.
package billing
