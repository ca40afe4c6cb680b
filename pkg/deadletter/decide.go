package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// verb is what a person does with a dead letter.
type verb int16

const (
	redrive verb = iota + 1
	discard
)

// outcome is what came of it.
type outcome int16

const (
	tookEffect outcome = iota + 1
	nothingToDo
	failedAgain
	wasDiscarded
)

// decision is what a person decides on a dead letter, and why.
type decision struct {
	actor     string
	verb      verb
	reason    string
	operation *uuid.UUID // nil for none
}

// decideOnce decides on one dead letter, once per key, and gives it as it then stands.
func (d *Desk) decideOnce(ctx context.Context, method, key, id string, want decision) (letter, outcome, error) {
	b, l, err := d.find(ctx, id)
	if err != nil {
		return l, 0, err
	}
	if want.verb == redrive && b.consumers[l.consumer] == nil {
		return l, 0, noConsumer(l) // said before the key is taken: another process may have it
	}
	request := idem.Request{
		Caller: want.actor, Method: method, Key: key, TTL: keyTTL,
		Fields: []idem.Field{{Name: "dead_letter_id", Value: l.id.String()}, {Name: "reason", Value: want.reason}},
	}
	came, err := idem.Once(ctx, b.pool, request, func(ctx context.Context, tx *pg.Tx) (outcome, string, error) {
		came, _, err := b.decide(ctx, tx, l.id, want)
		return came, l.id.String(), err
	})
	if err != nil {
		return l, 0, err
	}
	if l, err = b.read(ctx, b.pool, l.id, ""); err != nil {
		return l, 0, err
	}
	l, err = b.withActions(ctx, l)
	return l, came, err
}

func noConsumer(l letter) error {
	return rpcerr.New(rpcerr.DeadLetterNoConsumer, "there is no consumer %s of %s in this process", l.consumer, l.service)
}

// decide decides on a dead letter within tx. It holds the row until tx ends, so that another decision on it finds what this one
// made of it. Why is the consumer's error where it failed again. The errors are definite refusals, or the moment's.
func (b *box) decide(ctx context.Context, tx *pg.Tx, id inbox.DeadLetterID, want decision) (came outcome, why error, err error) {
	l, err := b.read(ctx, tx, id, "FOR UPDATE")
	if err != nil {
		return 0, nil, err
	}
	switch {
	case want.verb == redrive && l.state == redriven:
		return nothingToDo, nil, nil
	case want.verb == redrive:
		return b.redrive(ctx, tx, l, want)
	case l.state == discarded:
		return wasDiscarded, nil, nil
	case l.state == redriven:
		return 0, nil, rpcerr.New(rpcerr.DeadLetterEnded, "dead letter %s is redriven", l.id)
	}
	if _, err := tx.Exec(ctx, endLetter, l.number, discarded, l.eventID); err != nil {
		return 0, nil, fmt.Errorf("discarding dead letter: %w", err)
	}
	return wasDiscarded, nil, record(ctx, tx, l, want, wasDiscarded, "")
}

const endLetter = `UPDATE dead_letter SET state = $2, ended_at = now(), event_id = $3 WHERE id = $1`

// A failure leaves the dead letter open, also one that had been discarded.
const failLetter = `
UPDATE dead_letter SET state = 1, ended_at = NULL, attempts = attempts + 1, failed_at = now(), error = $2 WHERE id = $1`

// redrive hands the event to its consumer again. What the consumer did before it failed is undone.
func (b *box) redrive(ctx context.Context, tx *pg.Tx, l letter, want decision) (came outcome, why error, err error) {
	consumer := b.consumers[l.consumer]
	if consumer == nil {
		return 0, nil, noConsumer(l)
	}
	eventID, came := l.eventID, tookEffect
	why = tx.Savepoint(ctx, func(tx *pg.Tx) error {
		found, effect, err := consumer.Redrive(ctx, tx, inbox.Buried{
			Subject: l.subject, Headers: l.headers, Payload: l.payload, EventID: l.eventID.UUID,
		})
		if !effect {
			came = nothingToDo
		}
		eventID = uuid.NullUUID{UUID: found, Valid: found != uuid.Nil}
		return err
	})
	if why == nil {
		if _, err := tx.Exec(ctx, endLetter, l.number, redriven, eventID); err != nil {
			return 0, nil, fmt.Errorf("ending dead letter: %w", err)
		}
		return came, nil, record(ctx, tx, l, want, came, "")
	}
	if pg.IsTransient(why) || ctx.Err() != nil {
		return 0, nil, fmt.Errorf("redriving: %w", errors.Join(why, ctx.Err()))
	}
	cause := inbox.Text(why.Error())
	if _, err := tx.Exec(ctx, failLetter, l.number, cause); err != nil {
		return 0, nil, fmt.Errorf("keeping dead letter: %w", err)
	}
	return failedAgain, why, record(ctx, tx, l, want, failedAgain, cause)
}

const insertAction = `
INSERT INTO dead_letter_action (dead_letter_id, actor, verb, reason, outcome, error, operation_id) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// record writes who did what, and why.
func record(ctx context.Context, tx *pg.Tx, l letter, did decision, came outcome, cause string) error {
	if _, err := tx.Exec(ctx, insertAction, l.number, did.actor, did.verb, did.reason, came, cause, did.operation); err != nil {
		return fmt.Errorf("recording what was done with a dead letter: %w", err)
	}
	return nil
}

// firstLine is what people are told of a cause that may end in a stack.
func firstLine(why error) string {
	line, _, _ := strings.Cut(inbox.Text(why.Error()), "\n")
	return line
}
