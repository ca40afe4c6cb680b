package inbox

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/pg"
)

// apply has the effects of deliveries happen, once each, in one transaction.
func (r *receiver) apply(ctx context.Context, deliveries []delivery) (err error) {
	ctx, endSpans := r.startSpans(ctx, deliveries)
	defer func() { endSpans(err) }()
	var fresh []bus.Event
	failpoint.Hit(failpoint.Before, "inbox", r.consumer.Name)
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		var err error
		if fresh, err = r.claim(ctx, tx, deliveries); err == nil && len(fresh) > 0 {
			err = r.handle(ctx, tx, fresh)
		}
		failpoint.Hit(failpoint.Inside, "inbox", r.consumer.Name)
		return err
	})
	if err != nil {
		return err
	}
	r.metrics.processed.Add(ctx, int64(len(fresh)), r.metrics.attributes)
	r.metrics.duplicates.Add(ctx, int64(len(deliveries)-len(fresh)), r.metrics.attributes)
	return nil
}

// In the order of the ids, so that two processes with the same events wait for each other and do not deadlock.
const claimEvents = `
INSERT INTO inbox (consumer, event_id)
SELECT $1, id FROM unnest($2::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id`

// claim writes the inbox rows and gives the events that had none, each once and in their order.
func (in *Inbox) claim(ctx context.Context, tx *pg.Tx, deliveries []delivery) ([]bus.Event, error) {
	ids := make([]uuid.UUID, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.event.ID
	}
	rows, err := tx.Query(ctx, claimEvents, in.consumer.Name, ids)
	if err != nil {
		return nil, fmt.Errorf("writing inbox: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("writing inbox: %w", err)
	}
	unseen := make(map[uuid.UUID]bool, len(claimed))
	for _, id := range claimed {
		unseen[id] = true
	}
	fresh := make([]bus.Event, 0, len(claimed))
	for _, d := range deliveries {
		if unseen[d.event.ID] {
			delete(unseen, d.event.ID)
			fresh = append(fresh, d.event)
		}
	}
	return fresh, nil
}

// handle makes a panic an error: an event that brings the handler down must end as a dead letter, not bring down the
// process again and again.
func (in *Inbox) handle(ctx context.Context, tx *pg.Tx, events []bus.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return in.consumer.Handle(ctx, tx, events)
}
