// Package reconciliation proves that what the services believe is what the payment provider and the bank say. It takes in
// statements and what the services tell by events, finds which movements are the same money, and keeps what is different as
// breaks until each is explained.
//
// It owns the tables partition, delivery and movement (what each side says), statement_file, statement and repeated_key (what was
// taken in), run, match, match_leg and open_movement (what is the same), and operator_action (who decided what, and why).
//
// A file and its statements:
//
//	coming in ──► accepted                       taken, repeats
//	    │   └───► held ──► accepted, dropped     gap, overlap ──► taken, repeats, released, dropped
//	    └───────► quarantined ──► dropped        refused
//
// Import (import.go): a file is read once, as its format says (package formats), and its lines are written in pieces straight
// into movement, by COPY, while the next piece is read (import_write.go). The keys of movements are unique; a piece that meets
// one that is there is sorted out by itself (import_again.go). Each piece is one transaction with how far the file has come: who
// brings the same content again goes on behind it, and an attempt that was overtaken writes nothing any more. One file of an
// account and side comes in at a time, under a lock that dies with its connection. When all of it is in, it is decided on in one
// transaction (statement_settle.go): a proof that fails quarantines it; else its statements are judged against all that count
// (statement_judge.go, which is pure), together with those of other files that are held. Accepting a file makes what it pays out.
// Whoever decides on files holds one lock, so that decisions see each other.
//
// Clearing (import_clear.go): movements of a file that does not count are removed by who finds that out, and by a duty when
// that one dies. Movements that were accepted are never removed.
package reconciliation
