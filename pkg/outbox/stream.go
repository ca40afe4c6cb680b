package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
)

const (
	// checkEvery is how often the stream is compared with what is remembered of it.
	checkEvery = 10 * time.Second
	// survivorChunk is how many rows are compared at once while looking for the end of what the stream kept.
	survivorChunk = 1000
)

// mark is a place in a stream: the event at which the outbox's part of it ends. A zero seq is its beginning.
type mark struct {
	created time.Time // of the stream, to the microsecond, as Postgres keeps it
	seq     int64
	id      uuid.UUID
}

// checkStream compares the stream with what is remembered of it, when that is due, and makes every event that the
// stream lost unpublished again.
func (r *relay) checkStream(ctx context.Context) error {
	reconnects := r.js.Conn().Stats().Reconnects
	if r.known != nil && reconnects == r.reconnects && time.Since(r.checked) < checkEvery {
		return nil
	}
	stream, err := r.js.Stream(ctx, bus.Stream)
	if err != nil {
		return fmt.Errorf("looking at stream %s: %w", bus.Stream, err)
	}
	r.batches = stream.CachedInfo().Config.AllowAtomicPublish
	created := stream.CachedInfo().Created.UTC().Truncate(time.Microsecond)
	if r.known == nil {
		if r.known, err = r.remembered(ctx); err != nil {
			return err
		}
	}
	switch {
	case r.known == nil || !r.known.created.Equal(created):
		err = r.goBack(ctx, mark{created: created})
	case r.known.seq > 0:
		err = r.checkTail(ctx, stream)
	}
	if err != nil {
		return err
	}
	r.checked, r.reconnects = time.Now(), reconnects
	return nil
}

// checkTail looks for the last acknowledged event. The stream's length alone does not tell: after a loss, others may
// have filled the sequences again.
func (r *relay) checkTail(ctx context.Context, stream jetstream.Stream) error {
	kept, err := holds(ctx, stream, *r.known)
	if err != nil || kept {
		return err
	}
	last, err := r.lastSurvivor(ctx, stream)
	if err != nil {
		return err
	}
	return r.goBack(ctx, last)
}

// holds reports whether the event is where the stream put it, or was: what aged, was purged or was deleted is gone on
// purpose.
func holds(ctx context.Context, stream jetstream.Stream, m mark) (bool, error) {
	state := stream.CachedInfo().State
	seq := uint64(m.seq) //nolint:gosec // sequences are positive
	switch {
	case seq > state.LastSeq:
		return false, nil
	case seq < state.FirstSeq:
		return true, nil
	}
	msg, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading event %d of the stream: %w", seq, err)
	}
	return msg.Header.Get(nats.MsgIdHdr) == m.id.String(), nil
}

// lastSurvivor is the last event the stream still holds. A stream loses its end, so what it holds comes before
// everything it lost.
func (r *relay) lastSurvivor(ctx context.Context, stream jetstream.Stream) (mark, error) {
	beginning := mark{created: r.known.created}
	for before := r.known.seq + 1; ; {
		chunk, err := r.publishedBefore(ctx, before)
		if err != nil || len(chunk) == 0 {
			return beginning, err
		}
		var probeErr error
		i := sort.Search(len(chunk), func(i int) bool {
			kept, err := holds(ctx, stream, chunk[i])
			probeErr = errors.Join(probeErr, err)
			return kept
		})
		if probeErr != nil {
			return mark{}, probeErr
		}
		if i < len(chunk) {
			return chunk[i], nil
		}
		before = chunk[len(chunk)-1].seq
	}
}

// publishedBefore gives the events published before a sequence of the stream, the latest first. There is no index
// for it: it is asked once in a disaster, and an index would be paid for with every event.
func (r *relay) publishedBefore(ctx context.Context, seq int64) ([]mark, error) {
	found, err := r.lock.Conn().Query(ctx,
		`SELECT stream_seq, id FROM outbox WHERE stream_seq < $1 ORDER BY stream_seq DESC LIMIT $2`, seq, survivorChunk)
	if err != nil {
		return nil, fmt.Errorf("reading published events: %w", err)
	}
	marks, err := pgx.CollectRows(found, func(from pgx.CollectableRow) (mark, error) {
		m := mark{created: r.known.created}
		err := from.Scan(&m.seq, &m.id)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading published events: %w", err)
	}
	return marks, nil
}

// remembered reads what the outbox last knew of the stream; nil when it never saw one.
func (r *relay) remembered(ctx context.Context) (*mark, error) {
	var m mark
	var id uuid.NullUUID
	err := r.lock.Conn().QueryRow(ctx, `SELECT created, last_seq, last_id FROM outbox_stream`).Scan(&m.created, &m.seq, &id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is known of the stream: %w", err)
	}
	m.id = id.UUID
	return &m, nil
}

const unpublishAfter = `
WITH lost AS (
    UPDATE outbox SET stream_seq = NULL, published_at = NULL WHERE stream_seq > $2 RETURNING seq),
known AS (
    INSERT INTO outbox_stream (created, last_seq, last_id) VALUES ($1, $2, $3)
    ON CONFLICT (one) DO UPDATE
    SET created = excluded.created, last_seq = excluded.last_seq, last_id = excluded.last_id,
        published_to = least(outbox_stream.published_to, (SELECT min(seq) - 1 FROM lost)))
SELECT count(*) FROM lost`

// goBack makes every event published after m unpublished, and remembers m as the end of what the stream holds.
func (r *relay) goBack(ctx context.Context, m mark) error {
	var lost int64
	id := uuid.NullUUID{UUID: m.id, Valid: m.seq > 0}
	r.frontier = nil
	if err := r.lock.Conn().QueryRow(ctx, unpublishAfter, m.created, m.seq, id).Scan(&lost); err != nil {
		return fmt.Errorf("taking back what the stream lost: %w", err)
	}
	if lost > 0 {
		r.log.WarnContext(ctx, "stream lost events, publishing them again", slog.Int64("events", lost),
			slog.Int64("kept_until", m.seq), slog.Time("stream_created", m.created))
	}
	r.known = &m
	return nil
}
