// Package reconciliation proves that what the services believe is what the payment provider and the bank say. It takes in
// statements and what the services tell by events, finds which movements are the same money, and keeps what is different as
// breaks until each is explained.
//
// What the services did is tied out with each other and with the ledger as their events tell it (ties.go, listen.go): facts about
// orders are judged by the pure package tieout, what does not tie is asked of its owners, what they know and no event has told is
// taken in, and only what they confirm is a break. Repair, and what statements prove, drives the owners under keys of its own.
// docs/tie-out.md says it at length.
//
// It owns the tables partition, delivery and movement (what each side says); statement_file, statement and repeated_key (what
// was taken in); rule_set, rule_activation and signing_key (what runs go by); run, run_partition, run_piece, run_finding, run_day
// and run_transit (what they came to); match_pair with the views match and match_leg, provisional_match and open_movement (what is the same); break,
// break_movement, break_event and break_journal (what is different, and what is done about it), and break_operation with its
// items and totals (one decision on many breaks); order_fact, doubt, ledger_minute, ledger_progress and payout_posting (what was
// told, and what follows from it); and operator_action (who decided what, and why).
//
// A run (begin.go, runner.go) takes what came in and matches it with what is open. Its inputs are fixed by the transaction that
// begins it: deliveries carry the number of the run that took them, and open movements the runs from and until which they are
// open. Accounts are matched one after the other (work.go): rows are read (load.go), package match decides (judge.go), and matches are
// written in pieces (write.go), then what is left (conclude.go). Whoever takes a run up does the same again, and skips what is there;
// a lock says who that is, and the run's epoch, which every write holds, keeps late owners out. When all is matched, what was found
// becomes breaks, and the run gets its digest (canon.go) and its signature (finish.go). A run is verified (verify.go) and rules are
// tried (simulate.go) by the same work with another sink. Reports (report.go) are sums of what runs noted by day.
//
//	running ──► finished        a run that is cancelled before it makes breaks is undone
//	   └──────► cancelled
//
// What a person decides is one transaction: the break, its movements, its history, the audit row, the event, and the intent of
// a journal or a repair. A duty carries intents out under their keys, and ends the break; a process that dies in between leaves
// the intent to the next one.
package reconciliation
