package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/periodic"
)

const (
	// pollEvery finds what another process wrote; the own process's writes wake the relay.
	pollEvery  = time.Second
	sweepEvery = time.Minute
	sweepBatch = 1000
)

// Run relays the outbox to the stream and deletes what is older than the retention, until ctx ends; it then returns
// nil. Any number of processes may run it: one at a time is active per database. While NATS or Postgres cannot be
// reached it keeps trying.
func (o *Outbox) Run(ctx context.Context, js jetstream.JetStream) error {
	observing, err := o.metrics.observe(o.pool)
	if err != nil {
		return err
	}
	defer observing.Unregister() //nolint:errcheck // only ever nil

	r, err := newRelay(o, js)
	if err != nil {
		return err
	}
	defer r.close()

	relay := periodic.Duty{Name: "outbox relay", Every: pollEvery, RunOnce: r.runOnce, Log: o.log, Wake: o.wake}
	sweep := periodic.Duty{Name: "outbox retention", Every: sweepEvery, RunOnce: o.sweep, Log: o.log}
	var wg sync.WaitGroup
	wg.Go(func() { _ = sweep.Run(ctx) }) // its only error is a duty that cannot run
	err = relay.Run(ctx)
	wg.Wait()
	return err
}

// Only the oldest rows are looked at: published in the order of seq, they are also the first to become old enough,
// and the table needs no index for it.
const deleteOld = `
DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM (SELECT seq, published_at FROM outbox ORDER BY seq LIMIT $1) AS oldest
    WHERE published_at < now() - $2::interval)`

// sweep deletes one batch of rows that were published longer than the retention ago.
func (o *Outbox) sweep(ctx context.Context) (again bool, err error) {
	tag, err := o.pool.Exec(ctx, deleteOld, sweepBatch, o.retention)
	if err != nil {
		return false, fmt.Errorf("deleting old outbox rows: %w", err)
	}
	return tag.RowsAffected() == sweepBatch, nil
}
