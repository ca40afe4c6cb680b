package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// state is what became of a dead letter.
type state int16

const (
	open state = iota + 1
	redriven
	discarded
)

// String is the state as people say it.
func (s state) String() string { return [...]string{"", "open", "redriven", "discarded"}[s] }

// letter is a dead letter.
type letter struct {
	service                 string
	number                  int64 // in its database
	id                      inbox.DeadLetterID
	state                   state
	consumer                string
	eventID                 uuid.NullUUID
	subject, eventType, err string
	traceparent             string
	attempts, deliveries    int32
	streamSeq               *int64
	publishedAt, endedAt    *time.Time
	createdAt, failedAt     time.Time
	payloadBytes            int64
	payload                 []byte
	headers                 map[string][]string
	actions                 []action
}

// action is what a person did with a dead letter.
type action struct {
	at        time.Time
	actor     string
	verb      verb
	reason    string
	outcome   outcome
	err       string
	operation *uuid.UUID
}

// listedError is how much of an error a list shows, in characters.
const listedError = 500

const letterColumns = `
SELECT d.id, d.uid, d.state, d.consumer, d.event_id, d.subject, left(coalesce(d.headers->'ce-type'->>0, ''), 200), d.traceparent, d.attempts,
       d.deliveries, d.stream_seq, d.published_at, d.ended_at, d.created_at, d.failed_at, octet_length(d.payload), `

// scan reads what letterColumns selects, and more.
func (b *box) scan(row pgx.Row, more ...any) (letter, error) {
	l := letter{service: b.service}
	return l, row.Scan(slices.Concat([]any{
		&l.number, (*uuid.UUID)(&l.id), &l.state, &l.consumer, &l.eventID, &l.subject, &l.eventType, &l.traceparent, &l.attempts,
		&l.deliveries, &l.streamSeq, &l.publishedAt, &l.endedAt, &l.createdAt, &l.failedAt, &l.payloadBytes, &l.err,
	}, more)...)
}

// fields are what the dead letters of a service can be filtered by.
func (b *box) fields() filter.Fields {
	return filter.Fields{
		"service":     filter.Text("'" + b.service + "'::text"),
		"consumer":    filter.Text("d.consumer"),
		"state":       filter.Named("d.state", "DEAD_LETTER_STATE_", filter.SameOrNot, open, redriven, discarded),
		"event_id":    filter.Text("coalesce(d.event_id::text, '')"),
		"event_type":  filter.Text("coalesce(d.headers->'ce-type'->>0, '')"),
		"subject":     filter.Text("d.subject"),
		"error":       filter.Text("d.error"),
		"attempts":    filter.Valued("d.attempts", "bigint", filter.SameLessOrMore, filter.WholeNumber),
		"create_time": filter.Valued("d.created_at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
		"age":         filter.Valued("now() - d.created_at", "interval", filter.LessOrMore, filter.DurationValue),
	}
}

// place is behind which dead letter a page begins.
type place struct {
	service string // empty for the first one
	before  int64
}

func (p place) String() string { return p.service + "/" + strconv.FormatInt(p.before, 10) }

var errNoPlace = errors.New("is no place in a list")

func parsePlace(key string) (place, error) {
	service, number, ok := strings.Cut(key, "/")
	before, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return place{}, errNoPlace
	}
	return place{service, before}, nil
}

// list gives the dead letters behind a token, up to n+1, with the filter that the next token belongs to.
func (d *Desk) list(ctx context.Context, text, token string, n int32) (found []letter, f filter.Filter, err error) {
	for _, b := range d.boxes {
		if f, err = filter.Parse(text, b.fields()); err != nil {
			return nil, f, err
		}
		from, err := filter.PageBehind(f, token, place{before: math.MaxInt64}, parsePlace)
		if err != nil {
			return nil, f, err
		}
		if from.service != "" && from.service != b.service {
			continue
		}
		token = ""
		more, err := b.list(ctx, f, from.before, n+1-int32(len(found))) //nolint:gosec // not more than n+1
		if err != nil {
			return nil, f, err
		}
		found = append(found, more...)
	}
	return found, f, nil
}

// list gives up to n dead letters that came before one, the newest first, without payload and headers.
func (b *box) list(ctx context.Context, f filter.Filter, before int64, n int32) ([]letter, error) {
	args := append(slices.Clone(f.Args), before, n)
	query := fmt.Sprintf("%s left(d.error, %d) FROM dead_letter d WHERE (%s) AND d.id < $%d ORDER BY d.id DESC LIMIT $%d",
		letterColumns, listedError, f.Where, len(args)-1, len(args))
	rows, err := b.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (letter, error) { return b.scan(row) })
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	return found, nil
}

// reader is a pool or a transaction.
type reader interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// find gives a dead letter, whole but for its actions, and the box that it is in. None is NOT_FOUND.
func (d *Desk) find(ctx context.Context, text string) (*box, letter, error) {
	lid, err := parseLetterID(text)
	if err != nil {
		return nil, letter{}, err
	}
	b, l, err := search(d, func(b *box) (letter, error) { return b.read(ctx, b.pool, lid, "") })
	if err == nil && b == nil {
		err = rpcerr.ForField(rpcerr.NotFound, "dead_letter_id", "there is no dead letter %s", lid)
	}
	return b, l, err
}

// search looks for something in all boxes, and gives no box when none has it. A database that cannot be reached is in nobody's
// way whose dead letter is in another.
func search[T any](d *Desk, look func(*box) (T, error)) (*box, T, error) {
	var none T
	var errs []error
	for _, b := range d.boxes {
		switch found, err := look(b); {
		case err == nil:
			return b, found, nil
		case !errors.Is(err, pgx.ErrNoRows):
			errs = append(errs, err)
		}
	}
	return nil, none, errors.Join(errs...)
}

// read gives a dead letter, whole but for its actions. Lock is how its row is locked.
func (b *box) read(ctx context.Context, db reader, lid inbox.DeadLetterID, lock string) (letter, error) {
	var payload, encoded []byte
	l, err := b.scan(db.QueryRow(ctx, letterColumns+` d.error, d.payload, d.headers FROM dead_letter d WHERE d.uid = $1 `+lock, lid.UUID()),
		&payload, &encoded)
	if err == nil {
		l.payload, err = payload, json.Unmarshal(encoded, &l.headers)
	}
	if err != nil {
		return l, fmt.Errorf("reading dead letter: %w", err)
	}
	return l, nil
}

const listActions = `
SELECT at, actor, verb, reason, outcome, error, operation_id FROM dead_letter_action WHERE dead_letter_id = $1 ORDER BY number`

// withActions adds what people did with a dead letter.
func (b *box) withActions(ctx context.Context, l letter) (letter, error) {
	rows, err := b.pool.Query(ctx, listActions, l.number)
	if err == nil {
		l.actions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a action, err error) {
			return a, row.Scan(&a.at, &a.actor, &a.verb, &a.reason, &a.outcome, &a.err, &a.operation)
		})
	}
	if err != nil {
		return l, fmt.Errorf("reading what was done with a dead letter: %w", err)
	}
	return l, nil
}

func parseLetterID(text string) (inbox.DeadLetterID, error) {
	var lid inbox.DeadLetterID
	if err := lid.UnmarshalText([]byte(text)); err != nil || lid.IsZero() {
		return lid, rpcerr.ForField(rpcerr.RequestInvalid, "dead_letter_id", "%.60q is no id of a dead letter", text)
	}
	return lid, nil
}
