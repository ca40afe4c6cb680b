package outbox

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/periodic"
)

const (
	// pollEvery finds what nobody told the relay of: writes wake it, those of other processes through NATS.
	pollEvery  = 5 * time.Second
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

	unsubscribe, err := o.listen(js.Conn())
	if err != nil {
		return err
	}
	defer unsubscribe()

	relay := periodic.Duty{Name: "outbox relay", Every: pollEvery, RunOnce: r.runOnce, Log: o.log, Wake: o.wake}
	sweep := periodic.Duty{Name: "outbox retention", Every: sweepEvery, RunOnce: o.sweep, Log: o.log}
	var wg sync.WaitGroup
	wg.Go(func() { _ = sweep.Run(ctx) }) // its only error is a duty that cannot run
	err = relay.Run(ctx)
	wg.Wait()
	return err
}

// listen has the relay of this process woken by what other processes write to the database.
func (o *Outbox) listen(nc *nats.Conn) (unsubscribe func(), err error) {
	wakes, err := nc.Subscribe(o.subject(), func(*nats.Msg) { o.hurry() })
	if err != nil {
		return nil, fmt.Errorf("listening for outbox writes: %w", err)
	}
	o.others.Store(nc)
	return func() {
		o.others.Store(nil)
		_ = wakes.Unsubscribe() // a connection that is closing ends it too
	}, nil
}

// subject is what the writers of one service tell the active relay on.
func (o *Outbox) subject() string { return "outbox.written." + cmp.Or(o.service, "unnamed") }

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
