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
// was taken in); run, match, match_leg and open_movement (what is the same); break, break_movement, break_event and
// break_journal (what is different, and what is done about it), and break_operation with its items and totals (one decision on
// many breaks); order_fact, doubt, ledger_minute, ledger_progress and payout_posting (what was told, and what follows from it);
// and operator_action (who decided what, and why).
//
// What a person decides is one transaction: the break, its movements, its history, the audit row, the event, and the intent of
// a journal or a repair. A duty carries intents out under their keys, and ends the break; a process that dies in between leaves
// the intent to the next one.
package reconciliation
