package orchestrator

import (
	"context"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
)

// timelineConsumer gathers what the events of all services say of orders.
func timelineConsumer() inbox.Consumer {
	return inbox.Consumer{Name: "orchestrator-timeline", Subjects: []string{"evt.>"}, Handle: addToTimeline}
}

// addToTimeline writes an entry for each event that belongs to an order.
func addToTimeline(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
	byOrder := map[OrderID][]timelineEntry{}
	for _, e := range events {
		orderID, err := id.Parse[orderKind](e.Reference)
		if err != nil {
			continue // not about an order
		}
		byOrder[orderID] = append(byOrder[orderID], timelineEntry{
			eventID: e.ID, at: e.Time, service: e.Service, kind: e.Type(), subject: e.Subject,
		})
	}
	return newStore(tx).addTimeline(ctx, byOrder)
}
