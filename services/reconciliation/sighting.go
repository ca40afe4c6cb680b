package reconciliation

import (
	"context"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// watcher says who looks for a kind of break, and which of them: what it does not see any more, when it has looked at all of
// its scope, has vanished.
type watcher struct {
	// name is "run", "import", "order" or "ledger".
	name string
	// scope is what it has looked at: a partition ("partition/7"), an order, a file. Empty scopes never vanish.
	scope string
}

// sighting is a break as somebody sees it. The same sighting is the same break, whenever it is made.
type sighting struct {
	code breaks.Code
	// ours and theirs are the movements that it is about, with their keys, which its identity is made of.
	ours, theirs []sighted
	// subject is what it is about where that is no movements: a statement, a saga, an account; part of its identity.
	subject string
	account string
	// amount is the money that is not explained.
	amount money.Amount
	// matched says that its movements are matched nevertheless, so that no later look will see it again: it stays until
	// a person resolves it.
	matched bool
	// orderID and paymentID are what it leads to; empty where it is not known.
	orderID, paymentID string
	// detail says more, as a JSON object: the nearest candidate, the proof that does not hold. Empty for nothing.
	detail string
}

// sighted is a movement that a break is about.
type sighted struct {
	id  int64
	key uuid.UUID
}

// seen counts what sightings came to.
type seen struct {
	opened, reopened, known, vanished int
}

// sight takes in what a watcher sees, in the transaction of whatever it found. Breaks that are there already are updated, and
// reopened where they had vanished or were matched; with vanish, those of the watcher's scope that are open and were not seen
// are closed: as matched where their movements are matched, else as vanished. run is the run's number; 0 for none.
//
// However many there are, it takes a constant number of statements. What is not due yet is no break and is left out.
func (r *reconciliation) sight(ctx context.Context, tx *pg.Tx, w watcher, run int32, sightings []sighting, vanish bool) (seen, error) {
	s := &sight{store: newStore(tx), policy: r.policy(), watcher: w, run: run}
	s.columns.add(s.policy, sightings)
	if err := s.open(ctx); err != nil {
		return seen{}, err
	}
	if err := s.again(ctx); err != nil {
		return seen{}, err
	}
	if vanish && w.scope != "" {
		if err := s.close(ctx); err != nil {
			return seen{}, err
		}
	}
	if err := s.history.write(ctx, s.store, w.name, ""); err != nil {
		return seen{}, err
	}
	return s.seen, r.outbox.Write(ctx, tx, s.events...)
}
