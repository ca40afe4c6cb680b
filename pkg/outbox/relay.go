package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/pg"
)

const (
	// window is how many events are on their way to the stream at once: as many as a server takes as one. On a busy machine a round
	// takes a tenth of a second whatever is in it.
	window = 1000
	// ackTimeout is how long the stream may take to acknowledge.
	ackTimeout = 5 * time.Second
	// roundLimit ends a round that hangs on a connection nobody answers any more.
	roundLimit = 30 * time.Second
	// markLimit is how long marking may go on after the process was told to stop.
	markLimit = 5 * time.Second
	// relayLock is the advisory lock of the active relay; such locks are per database.
	relayLock int64 = 0x7469656f75740001
)

// relay is one process's candidate for the active relay of a database. It belongs to one goroutine.
type relay struct {
	*Outbox
	js  jetstream.JetStream // asks about the stream
	pub jetstream.JetStream // publishes; its own, so that its unanswered publishes are bounded and time out

	lock    *pg.SessionLock // held by the active relay, which does all its work on the lock's connection
	offline bool            // NATS was not reachable in the last round

	known      *mark     // what outbox_stream holds; nil until it is read
	batches    bool      // the stream takes several events as one
	checked    time.Time // when the stream was last compared with known
	reconnects uint64    // of the NATS connection, at that time
	frontier   *frontier // nil until it is read
}

func newRelay(o *Outbox, js jetstream.JetStream) (*relay, error) {
	pub, err := jetstream.New(js.Conn(),
		jetstream.WithPublishAsyncTimeout(ackTimeout), jetstream.WithPublishAsyncMaxPending(2*window))
	if err != nil {
		return nil, fmt.Errorf("making publisher: %w", err)
	}
	return &relay{Outbox: o, js: js, pub: pub, lock: pg.NewSessionLock(o.pool, relayLock)}, nil
}

// release lets another process become the active relay.
func (r *relay) release() {
	r.lock.Release()
	r.active.Store(false)
}

func (r *relay) close() {
	r.release()
	r.pub.CleanupPublisher()
}

// runOnce publishes and marks one window of unpublished events, if this relay is or becomes the active one. It
// gives the lock up on any error, and while NATS cannot be reached: another process may be better off.
func (r *relay) runOnce(ctx context.Context) (again bool, err error) {
	if !r.online(ctx) {
		r.release()
		return false, nil
	}
	defer func() {
		if err != nil {
			r.release()
		}
	}()
	limited, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	if led, err := r.lead(limited); err != nil || !led {
		return false, err
	}
	if err := r.checkStream(limited); err != nil {
		return false, err
	}
	rows, err := r.unpublished(limited)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	failpoint.Hit(failpoint.Before, "outbox")
	acked, publishErr := r.publish(limited, rows)
	failpoint.Hit(failpoint.Unseen, "outbox")
	if err := r.mark(ctx, rows[:acked]); err != nil {
		return false, err
	}
	failpoint.Hit(failpoint.After, "outbox")
	return len(rows) == window, publishErr
}

// online reports whether NATS is connected; a change is logged once.
func (r *relay) online(ctx context.Context) bool {
	connected := r.js.Conn().IsConnected()
	switch {
	case !connected && !r.offline:
		r.log.WarnContext(ctx, "nats is not reachable, events stay in the outbox")
	case connected && r.offline:
		r.log.InfoContext(ctx, "nats is reachable again")
	}
	r.offline = !connected
	return connected
}

// lead tries to become the active relay, and reports whether this is it.
func (r *relay) lead(ctx context.Context) (bool, error) {
	led := r.lock.Held()
	held, err := r.lock.Acquire(ctx)
	r.active.Store(held)
	if !held || led {
		return held, err
	}
	r.known, r.checked, r.frontier = nil, time.Time{}, nil
	r.log.InfoContext(ctx, "outbox relay is active")
	return true, pg.PlanByKey(ctx, r.lock.Conn())
}

// row is an event of the outbox on its way to the stream.
type row struct {
	seq       int64
	event     bus.Event
	streamSeq int64 // 0 until the stream acknowledged it
}

const selectUnpublished = `
SELECT e.seq, e.id, e.service, e.entity, e.name, e.subject, e.reference, e.occurred_at, e.data, e.traceparent, e.tracestate
  FROM unnest($1::bigint[], $2::bigint[]) AS range (first, last)
 CROSS JOIN LATERAL (SELECT * FROM outbox WHERE seq BETWEEN range.first AND range.last AND published_at IS NULL
                      ORDER BY seq LIMIT $3) AS e
 ORDER BY e.seq LIMIT $3`

func (r *relay) unpublished(ctx context.Context) ([]row, error) {
	if r.frontier == nil {
		var err error
		if r.frontier, err = r.rememberedFrontier(ctx); err != nil {
			return nil, err
		}
	}
	firsts, lasts := r.frontier.unread()
	found, err := r.lock.Conn().Query(ctx, selectUnpublished, firsts, lasts, window)
	if err != nil {
		return nil, fmt.Errorf("reading outbox: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(from pgx.CollectableRow) (row, error) {
		var to row
		e := &to.event
		err := from.Scan(&to.seq, &e.ID, &e.Service, &e.Entity, &e.Name, &e.Subject, &e.Reference, &e.Time, &e.Data,
			&e.Traceparent, &e.Tracestate)
		return to, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading outbox: %w", err)
	}
	r.frontier.found(rows, window)
	return rows, nil
}

// rememberedFrontier reads how far the outbox is published.
func (r *relay) rememberedFrontier(ctx context.Context) (*frontier, error) {
	var f frontier
	if err := r.lock.Conn().QueryRow(ctx, `SELECT coalesce((SELECT published_to FROM outbox_stream), 0)`).Scan(&f.top); err != nil {
		return nil, fmt.Errorf("reading how far the outbox is published: %w", err)
	}
	rows, err := r.lock.Conn().Query(ctx, `SELECT seq FROM outbox WHERE seq > $1 AND published_at IS NOT NULL ORDER BY seq`, f.top)
	if err != nil {
		return nil, fmt.Errorf("reading what is published beyond: %w", err)
	}
	var seq int64
	if _, err := pgx.ForEachRow(rows, []any{&seq}, func() error { f.published(seq); return nil }); err != nil {
		return nil, fmt.Errorf("reading what is published beyond: %w", err)
	}
	return &f, nil
}

// The transactions under way are those of a moment after rows were read.
const markPublished = `
WITH acked AS (
    UPDATE outbox SET stream_seq = a.stream_seq, published_at = now()
    FROM unnest($1::bigint[], $2::bigint[]) AS a (seq, stream_seq)
    WHERE outbox.seq = a.seq)
UPDATE outbox_stream
   SET last_id = CASE WHEN last_seq < $3 THEN $4 ELSE last_id END, last_seq = greatest(last_seq, $3), published_to = $5
RETURNING pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint`

// mark notes that rows are in the stream. It outlives ctx a little: what was published should not have to be
// published again only because the process stops.
func (r *relay) mark(ctx context.Context, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markLimit)
	defer cancel()
	last := rows[0]
	seqs, streamSeqs := make([]int64, len(rows)), make([]int64, len(rows))
	for i, row := range rows {
		seqs[i], streamSeqs[i] = row.seq, row.streamSeq
		if row.streamSeq > last.streamSeq {
			last = row
		}
		r.frontier.published(row.seq)
	}
	var oldest, next int64
	err := r.lock.Conn().QueryRow(ctx, markPublished, seqs, streamSeqs, last.streamSeq, last.event.ID, r.frontier.upTo()).Scan(&oldest, &next)
	if err != nil {
		return fmt.Errorf("marking published events: %w", err)
	}
	r.frontier.seen(oldest, next)
	if last.streamSeq > r.known.seq {
		r.known.seq, r.known.id = last.streamSeq, last.event.ID
	}
	r.metrics.published.Add(ctx, int64(len(rows)), r.metrics.attributes)
	return nil
}
