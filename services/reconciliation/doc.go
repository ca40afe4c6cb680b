// Package reconciliation proves that what the services believe is what the payment provider and the bank say. It takes in
// statements and what the services tell by events, finds which movements are the same money, and keeps what is different as
// breaks until each is explained.
//
// It owns the tables partition, delivery and movement (what each side says), run, match, match_leg and open_movement (what is
// the same).
package reconciliation
