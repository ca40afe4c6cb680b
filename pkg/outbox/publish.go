package outbox

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/failpoint"
)

// together is from how many events on it is cheaper for the stream to take them as one.
const together = 4

// publish sends rows and says how many of the first were acknowledged, with their streamSeq filled in.
func (r *relay) publish(ctx context.Context, rows []row) (acked int, err error) {
	if r.batches && len(rows) >= together {
		refused, err := r.publishTogether(ctx, rows)
		switch {
		case err != nil:
			return 0, err
		case refused == nil:
			return len(rows), nil
		}
		r.log.DebugContext(ctx, "the stream does not take events as one, they go one by one", slog.Any("error", refused))
	}
	return r.publishEach(ctx, rows)
}

// publishTogether sends rows as one: the stream takes all of them or none, one behind the other, and syncs once. Refused is
// why it took none: most likely it knows one of them already, or one cannot be sent.
func (r *relay) publishTogether(ctx context.Context, rows []row) (refused, err error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	events := make([]bus.Event, len(rows))
	for i, row := range rows {
		events[i] = row.event
	}
	messages, last := bus.Together(events), len(rows)-1
	for _, m := range messages[:last] {
		if err := r.js.Conn().PublishMsg(m); err != nil {
			return err, nil
		}
	}
	failpoint.Hit(failpoint.Inside, "outbox")
	answer, err := r.js.Conn().RequestMsgWithContext(ctx, messages[last])
	if err != nil {
		return nil, fmt.Errorf("publishing %d events: %w", len(rows), err)
	}
	first, refused, err := bus.TakenTogether(messages, answer)
	if refused != nil || err != nil {
		return refused, err
	}
	for i := range rows {
		rows[i].streamSeq = first + int64(i)
	}
	return nil, nil
}

// publishEach sends rows one by one. It does not look past the first failure: what follows it is published again after it.
func (r *relay) publishEach(ctx context.Context, rows []row) (acked int, err error) {
	futures := make([]jetstream.PubAckFuture, 0, len(rows))
	for i := range rows {
		// Without the library's retry, which would put an event behind those that follow it.
		future, sendErr := r.pub.PublishMsgAsync(bus.Encode(rows[i].event), jetstream.WithRetryAttempts(0))
		if sendErr != nil {
			err = fmt.Errorf("publishing event %s: %w", rows[i].event.ID, sendErr)
			break
		}
		futures = append(futures, future)
	}
	failpoint.Hit(failpoint.Inside, "outbox")
	for i, future := range futures {
		select {
		case ack := <-future.Ok():
			rows[i].streamSeq = int64(ack.Sequence) //nolint:gosec // the stream counts events, not to 2^63
		case ackErr := <-future.Err():
			return i, fmt.Errorf("publishing event %s: %w", rows[i].event.ID, ackErr)
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(futures), err
}
