package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/pg"
)

// Buried is a message as its dead letter has it.
type Buried struct {
	// Subject is the NATS subject that it came on.
	Subject string
	// Headers are its NATS headers.
	Headers map[string][]string
	// Payload is its data.
	Payload []byte
	// EventID is the event that it was buried as; zero for what was no event.
	EventID uuid.UUID
}

// Consumer is the name of the consumer.
func (in *Inbox) Consumer() string { return in.consumer.Name }

// Redrive hands a buried message to the consumer once more, within tx, in which the caller holds the row of the dead letter
// and ends it: so the event takes effect once, whoever redrives it and however often. It gives the event that the message
// is. Effect is false when nothing was left to do: what was no event when it was buried is now nothing to the consumer, or
// took effect in another delivery. After an error nothing of tx may be committed but what came before.
func (in *Inbox) Redrive(ctx context.Context, tx *pg.Tx, m Buried) (eventID uuid.UUID, effect bool, err error) {
	e, err := m.decode()
	if err != nil {
		return m.EventID, false, err
	}
	d := []delivery{{event: e}}
	ctx, endSpans := in.startSpans(ctx, d)
	defer func() { endSpans(err) }()
	if in.consumer.Wants != nil && !in.consumer.Wants(e) {
		return m.EventID, false, nil
	}
	if m.EventID == uuid.Nil { // an event has its inbox row since it was buried
		fresh, err := in.claim(ctx, tx, d)
		if err != nil {
			return m.EventID, false, err
		}
		if len(fresh) == 0 {
			return e.ID, false, nil
		}
	}
	if err := in.handle(ctx, tx, []bus.Event{e}); err != nil {
		return m.EventID, false, err
	}
	tx.AfterCommit(func() { in.metrics.processed.Add(ctx, 1, in.metrics.attributes) })
	return e.ID, true, nil
}

var errNotKept = errors.New("a header was not text, and is not kept as it was")

func (m Buried) decode() (bus.Event, error) {
	header := nats.Header{}
	for name, values := range m.Headers {
		for _, value := range values {
			if m.EventID == uuid.Nil && strings.ContainsRune(value, utf8.RuneError) {
				return bus.Event{}, errNotKept
			}
			header.Add(name, value)
		}
	}
	e, err := decode(m.Subject, header, m.Payload)
	if err == nil && m.EventID != uuid.Nil && e.ID != m.EventID {
		return e, fmt.Errorf("it was buried as event %s and is %s", m.EventID, e.ID)
	}
	return e, err
}

// decode reads the event of a message. One that is published where others belong is refused: consumers choose by subject
// and rely on what it says.
func decode(subject string, header nats.Header, data []byte) (bus.Event, error) {
	e, err := bus.Decode(header, data)
	if err == nil && e.NATSSubject() != subject {
		err = fmt.Errorf("the event belongs on subject %s", e.NATSSubject())
	}
	return e, err
}
