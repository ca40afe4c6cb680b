// Package reconciliation proves that what the services believe is what the payment provider and the bank say. It takes in
// statements and what the services tell by events, finds which movements are the same money, and keeps what is different as
// breaks until each is explained.
//
// It owns the tables partition, delivery and movement (what each side says), run, match, match_leg and open_movement (what is
// the same), break, break_movement, break_event and break_journal (what is different, and what is done about it), and
// break_operation with its items and totals (one decision on many breaks).
//
// What a person decides is one transaction: the break, its movements, its history, the audit row, the event, and the intent of
// a journal or a repair. A duty carries intents out under their keys, and ends the break; a process that dies in between leaves
// the intent to the next one.
package reconciliation
