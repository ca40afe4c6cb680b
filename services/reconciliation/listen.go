package reconciliation

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// factsConsumer is the name of the consumer, for ever.
const factsConsumer = "reconciliation-facts"

// What is tied out, by the prefixes of their ids.
type (
	orderKind       struct{}
	recurringKind   struct{}
	reservationKind struct{}
	shipmentKind    struct{}
	paymentKind     struct{}
)

// Prefix implements id.Kind.
func (orderKind) Prefix() string { return "ord" }

// Prefix implements id.Kind.
func (recurringKind) Prefix() string { return "rcp" }

// Prefix implements id.Kind.
func (reservationKind) Prefix() string { return "res" }

// Prefix implements id.Kind.
func (shipmentKind) Prefix() string { return "shp" }

// Prefix implements id.Kind.
func (paymentKind) Prefix() string { return "pay" }

// subject is what services did something for: an order or a recurring payment. Zero is neither: some other business.
type subject struct {
	id        uuid.UUID
	recurring bool
}

// subjectOf reads a reference.
func subjectOf(reference string) subject {
	if order, err := id.Parse[orderKind](reference); err == nil {
		return subject{id: order.UUID()}
	}
	if payment, err := id.Parse[recurringKind](reference); err == nil {
		return subject{id: payment.UUID(), recurring: true}
	}
	return subject{}
}

// String is its id, as it goes over the wire.
func (s subject) String() string {
	if s.recurring {
		return id.ID[recurringKind](s.id).String()
	}
	return id.ID[orderKind](s.id).String()
}

// idOf is the id that a text is of any of the kinds that orders are made of; the zero id for another text.
func idOf(text string) tieout.ID {
	if p, err := id.Parse[paymentKind](text); err == nil {
		return tieout.ID(p)
	}
	if r, err := id.Parse[reservationKind](text); err == nil {
		return tieout.ID(r)
	}
	if s, err := id.Parse[shipmentKind](text); err == nil {
		return tieout.ID(s)
	}
	return tieout.ID{}
}

// telling is what an event, or an owner who was asked, tells.
type telling struct {
	about     subject
	facts     tieout.Facts // without the sums, which the movements make
	movements []ourMovement
	doubts    []doubt
}

// facts is the consumer of what the services tell.
func (r *reconciliation) facts() inbox.Consumer {
	return inbox.Consumer{
		Name: factsConsumer, Subjects: toldSubjects,
		Handle: func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
			told := make([]telling, 0, len(events))
			for _, e := range events {
				t, err := tellingFrom(e)
				if err != nil {
					return err
				}
				told = append(told, t)
			}
			_, err := r.takeIn(ctx, tx, told)
			return err
		},
	}
}

// takeIn writes what was told, each movement and each fact once, whoever tells it and however often: one statement a table.
// It gives the movements that were not known.
func (r *reconciliation) takeIn(ctx context.Context, tx *pg.Tx, told []telling) ([]ourMovement, error) {
	st := newStore(tx)
	var movements []ourMovement
	var doubts []doubt
	for _, t := range told {
		movements, doubts = append(movements, t.movements...), append(doubts, t.doubts...)
	}
	fresh, err := r.insertMovements(ctx, tx, movements)
	if err != nil {
		return nil, err
	}
	if err := st.addMinutes(ctx, fresh); err != nil {
		return nil, err
	}
	facts, err := joinTold(told, fresh)
	if err != nil {
		return nil, err
	}
	if err := st.putFacts(ctx, facts, r.tieOut.Grace); err != nil {
		return nil, err
	}
	return fresh, st.putDoubts(ctx, doubts)
}

// joinTold joins what was told of each order, with the sums of the movements that are new.
func joinTold(told []telling, fresh []ourMovement) (map[uuid.UUID]tieout.Facts, error) {
	all := map[uuid.UUID]tieout.Facts{}
	join := func(about subject, f tieout.Facts) (err error) {
		if about == (subject{}) || f == (tieout.Facts{}) {
			return nil
		}
		f.Recurring = about.recurring
		if all[about.id], err = all[about.id].Join(f); err != nil {
			return fmt.Errorf("%s: %w", about, err)
		}
		return nil
	}
	for _, t := range told {
		if err := join(t.about, t.facts); err != nil {
			return nil, err
		}
	}
	for _, m := range fresh {
		if err := join(subjectOf(m.reference), m.facts()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// facts are what a movement adds to its order's.
func (m ourMovement) facts() tieout.Facts {
	f := tieout.Facts{Payment: idOf(m.paymentID), Currency: m.amount.Currency}
	switch m.what {
	case wasCharged:
		f.Captured = m.amount.Minor
	case wasRefunded:
		f.Refunded = m.amount.Minor
	case wasChargedBack:
		f.ChargedBack = m.amount.Minor
	case wasReversed:
		f.ChargedBack = -m.amount.Minor
	}
	return f
}
