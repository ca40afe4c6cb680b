package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg"
)

// buryEvent writes a dead letter and the inbox row that keeps the event from coming back, or neither when another
// process has seen the event through in the meantime.
const buryEvent = `
WITH seen AS (
    INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1)
INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, error, deliveries, traceparent, uid, stream_seq, published_at, attempts)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM seen`

const buryMessage = `
INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, error, deliveries, traceparent, uid, stream_seq, published_at, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT DO NOTHING`

// DeadLetterID identifies a dead letter over all consumers.
type DeadLetterID = id.ID[deadLetterKind]

type deadLetterKind struct{}

// Prefix implements id.Kind.
func (deadLetterKind) Prefix() string { return "dlt" }

// bury makes d, on which the consumer has failed so often, a dead letter and ends its delivery. What cannot be buried is
// put back and buried another time.
func (r *receiver) bury(ctx context.Context, d delivery, cause error, attempts int) {
	buried, err := r.writeDeadLetter(ctx, d, cause, attempts)
	if err != nil {
		r.log.ErrorContext(ctx, "dead letter was not written", slog.String("subject", d.msg.Subject()),
			slog.Any("cause", cause), slog.Any("error", err))
		r.settle(ctx, d.msg.NakWithDelay(redelivery[len(redelivery)-1]))
		return
	}
	delete(r.failures, d.event.ID)
	if buried {
		r.metrics.deadLetters.Add(ctx, 1, r.metrics.attributes)
		r.log.ErrorContext(ctx, "event became a dead letter", slog.String("subject", d.msg.Subject()),
			slog.String("event_id", d.event.ID.String()), slog.Any("error", cause))
	}
	r.settle(ctx, d.msg.Term())
}

func (r *receiver) writeDeadLetter(ctx context.Context, d delivery, cause error, attempts int) (buried bool, err error) {
	meta, err := d.msg.Metadata()
	if err != nil {
		return false, fmt.Errorf("reading what the stream says of a message: %w", err)
	}
	headers := make(map[string][]string, len(d.msg.Headers()))
	for name, values := range d.msg.Headers() {
		for _, value := range values {
			headers[Text(name)] = append(headers[Text(name)], Text(value))
		}
	}
	encoded, err := json.Marshal(headers)
	if err != nil {
		return false, fmt.Errorf("encoding headers: %w", err)
	}
	payload := append([]byte{}, d.msg.Data()...) // an empty payload is not NULL
	insert, eventID := buryMessage, uuid.NullUUID{}
	if d.event.ID != uuid.Nil {
		insert, eventID = buryEvent, uuid.NullUUID{UUID: d.event.ID, Valid: true}
	}
	traceparent := Text(d.msg.Headers().Get(bus.HeaderTraceparent)) // also of what is no event: it leads to whoever sent it
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		tag, err := tx.Exec(ctx, insert, r.consumer.Name, eventID, Text(d.msg.Subject()), payload, encoded, Text(cause.Error()),
			meta.NumDelivered, traceparent, id.New[deadLetterKind](), meta.Sequence.Stream, meta.Timestamp, attempts)
		buried = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("writing dead letter: %w", err)
	}
	return buried, nil
}

// Text makes s something that Postgres takes as text and in jsonb.
func Text(s string) string {
	const replacement = "\uFFFD"
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", replacement), replacement)
}
