package orchestrator

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
)

// timelineConsumer gathers what the events of all services say of orders, and tells of those that others sent.
func timelineConsumer(told func([]uuid.UUID)) inbox.Consumer {
	return inbox.Consumer{Name: "orchestrator-timeline", Subjects: []string{"evt.>"},
		Wants: func(e bus.Event) bool {
			_, err := id.Parse[orderKind](e.Reference)
			return err == nil
		},
		Handle: func(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
			return addToTimeline(ctx, tx, events, told)
		}}
}

// addToTimeline writes an entry for each event, which are all about orders.
func addToTimeline(ctx context.Context, tx *pg.Tx, events []bus.Event, told func([]uuid.UUID)) error {
	var others []uuid.UUID
	byOrder := map[OrderID][]timelineEntry{}
	for _, e := range events {
		orderID, err := id.Parse[orderKind](e.Reference)
		if err != nil {
			return fmt.Errorf("reading the reference of event %s: %w", e.ID, err)
		}
		byOrder[orderID] = append(byOrder[orderID], timelineEntry{
			eventID: e.ID, at: e.Time, service: e.Service, kind: e.Type(), subject: e.Subject,
		})
		if e.Service != serviceName {
			others = append(others, orderID.UUID())
		}
	}
	tx.AfterCommit(func() { told(others) })
	return newStore(tx).addTimeline(ctx, byOrder)
}
