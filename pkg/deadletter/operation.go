package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	methodPlan  = "PlanDeadLetterOperation"
	methodApply = "ApplyDeadLetterOperation"

	// planTTL is how long a plan can be applied: what it found was looked at, and may have changed since.
	planTTL = time.Hour
)

// OperationID identifies an operation on many dead letters.
type OperationID = id.ID[operationKind]

type operationKind struct{}

// Prefix implements id.Kind.
func (operationKind) Prefix() string { return "dlo" }

// operation is one decision on all dead letters that a filter held for when it was planned.
type operation struct {
	service        string
	id             OperationID
	verb           verb
	filter, reason string
	plannedBy      string
	plannedAt      time.Time
	expiresAt      time.Time
	expired        bool // by the database's clock, without having been applied
	appliedBy      string
	endedAt        *time.Time
	matched        int64
	done, refused  int64
	consumers      []count
	refusals       []refusal
}

// count is how many of an operation's dead letters a consumer has.
type count struct {
	Consumer string
	Letters  int64
}

// refusal is why a dead letter is as it was.
type refusal struct {
	LetterID uuid.UUID
	Why      string
}

// plan finds the open dead letters of a filter and keeps them, in an operation for each service that has any.
func (d *Desk) plan(ctx context.Context, key, text string, want decision) ([]operation, error) {
	var plans []operation
	for _, b := range d.boxes {
		f, err := filter.Parse(text, b.fields())
		if err != nil {
			return nil, err
		}
		if f.Text == "" {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "filter", "says nothing; for all that are open say state = open")
		}
		oid, err := b.plan(ctx, key, f, want)
		if err != nil {
			return nil, err
		}
		op, err := b.operation(ctx, oid)
		if err != nil {
			return nil, err
		}
		if op.matched > 0 {
			plans = append(plans, op)
		}
	}
	return plans, nil
}

const insertOperation = `
INSERT INTO dead_letter_operation (id, verb, filter, reason, planned_by, expires_at, matched)
VALUES ($1, $2, $3, $4, $5, now() + $6, 0)`

// plan keeps the open dead letters of a filter as the items of an operation.
func (b *box) plan(ctx context.Context, key string, f filter.Filter, want decision) (OperationID, error) {
	request := idem.Request{Caller: want.actor, Method: methodPlan, Key: key, TTL: keyTTL, Fields: []idem.Field{
		{Name: "filter", Value: f.Text}, {Name: "verb", Value: strconv.Itoa(int(want.verb))}, {Name: "reason", Value: want.reason},
	}}
	return idem.Once(ctx, b.pool, request, func(ctx context.Context, tx *pg.Tx) (OperationID, string, error) {
		oid := id.New[operationKind]()
		if _, err := tx.Exec(ctx, insertOperation, oid.UUID(), want.verb, f.Text, want.reason, want.actor, planTTL); err != nil {
			return oid, "", fmt.Errorf("writing plan: %w", err)
		}
		args := append(slices.Clone(f.Args), oid.UUID())
		items := fmt.Sprintf(`
WITH item AS (
    INSERT INTO dead_letter_operation_item (operation_id, dead_letter_id)
    SELECT $%d, d.id FROM dead_letter d WHERE d.state = 1 AND (%s) RETURNING 1)
UPDATE dead_letter_operation SET matched = (SELECT count(*) FROM item) WHERE id = $%[1]d`, len(args), f.Where)
		if _, err := tx.Exec(ctx, items, args...); err != nil {
			return oid, "", fmt.Errorf("finding dead letters: %w", err)
		}
		return oid, oid.String(), nil
	})
}

const applyOperation = `
UPDATE dead_letter_operation SET applied_by = $2, applied_at = now() WHERE id = $1 AND applied_at IS NULL AND expires_at > now()`

// apply has a plan carried out in the background.
func (d *Desk) apply(ctx context.Context, caller, key, text string) (operation, error) {
	b, op, err := d.findOperation(ctx, text)
	if err != nil {
		return op, err
	}
	request := idem.Request{
		Caller: caller, Method: methodApply, Key: key, TTL: keyTTL, Fields: []idem.Field{{Name: "operation_id", Value: op.id.String()}},
	}
	_, err = idem.Once(ctx, b.pool, request, func(ctx context.Context, tx *pg.Tx) (OperationID, string, error) {
		applied, err := tx.Exec(ctx, applyOperation, op.id.UUID(), caller)
		if err != nil {
			return op.id, "", fmt.Errorf("applying operation: %w", err)
		}
		if applied.RowsAffected() == 0 {
			return op.id, "", rpcerr.New(rpcerr.OperationNotOpen, "operation %s was applied, or is more than an hour old", op.id)
		}
		tx.AfterCommit(d.wake.Ring)
		return op.id, op.id.String(), nil
	})
	if err != nil {
		return op, err
	}
	return b.operation(ctx, op.id)
}

// findOperation gives an operation and the box that it is in. None is NOT_FOUND.
func (d *Desk) findOperation(ctx context.Context, text string) (*box, operation, error) {
	oid, err := id.Parse[operationKind](text)
	if err != nil {
		return nil, operation{}, rpcerr.ForField(rpcerr.RequestInvalid, "operation_id", "%v", err)
	}
	b, op, err := search(d, func(b *box) (operation, error) { return b.operation(ctx, oid) })
	if err == nil && b == nil {
		err = rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is no operation %s", oid)
	}
	return b, op, err
}

const (
	getOperation = `
SELECT o.verb, o.filter, o.reason, o.planned_by, o.planned_at, o.expires_at, o.applied_at IS NULL AND o.expires_at <= now(), o.applied_by,
       o.ended_at, o.matched, count(i.dead_letter_id) FILTER (WHERE i.outcome = 1), count(i.dead_letter_id) FILTER (WHERE i.outcome = 2)
  FROM dead_letter_operation o LEFT JOIN dead_letter_operation_item i ON i.operation_id = o.id
 WHERE o.id = $1 GROUP BY o.id`
	countConsumers = `
SELECT d.consumer, count(*) FROM dead_letter_operation_item i JOIN dead_letter d ON d.id = i.dead_letter_id
 WHERE i.operation_id = $1 GROUP BY d.consumer ORDER BY d.consumer`
	listRefusals = `
SELECT d.uid, i.refusal FROM dead_letter_operation_item i JOIN dead_letter d ON d.id = i.dead_letter_id
 WHERE i.operation_id = $1 AND i.outcome = 2 ORDER BY d.id LIMIT 100`
)

// operation gives an operation; pgx.ErrNoRows when there is none.
func (b *box) operation(ctx context.Context, oid OperationID) (operation, error) {
	op := operation{service: b.service, id: oid}
	err := b.pool.QueryRow(ctx, getOperation, oid.UUID()).Scan(&op.verb, &op.filter, &op.reason, &op.plannedBy, &op.plannedAt, &op.expiresAt,
		&op.expired, &op.appliedBy, &op.endedAt, &op.matched, &op.done, &op.refused)
	if err != nil {
		return op, fmt.Errorf("reading operation: %w", err)
	}
	if op.consumers, err = collect[count](ctx, b, countConsumers, oid); err != nil {
		return op, err
	}
	op.refusals, err = collect[refusal](ctx, b, listRefusals, oid)
	return op, err
}

func collect[R any](ctx context.Context, b *box, query string, oid OperationID) ([]R, error) {
	rows, err := b.pool.Query(ctx, query, oid.UUID())
	if err != nil {
		return nil, fmt.Errorf("reading operation: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[R])
	if err != nil {
		return nil, fmt.Errorf("reading operation: %w", err)
	}
	return found, nil
}

const (
	// Whoever holds the operation does its items; other replicas do those of others.
	claimOperation = `
SELECT id, verb, reason, applied_by FROM dead_letter_operation
 WHERE applied_at IS NOT NULL AND ended_at IS NULL ORDER BY applied_at LIMIT 1 FOR UPDATE SKIP LOCKED`
	nextItem = `
SELECT d.id, d.uid FROM dead_letter_operation_item i JOIN dead_letter d ON d.id = i.dead_letter_id
 WHERE i.operation_id = $1 AND i.outcome = 0 ORDER BY i.dead_letter_id LIMIT 1`
	endItem      = `UPDATE dead_letter_operation_item SET outcome = $3, refusal = $4 WHERE operation_id = $1 AND dead_letter_id = $2`
	endOperation = `UPDATE dead_letter_operation SET ended_at = now() WHERE id = $1`
)

// operateOnce does the next item of an operation that was applied, in one transaction with its outcome, or ends the operation.
func (b *box) operateOnce(ctx context.Context) (again bool, err error) {
	err = pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		var want decision
		var oid uuid.UUID
		err := tx.QueryRow(ctx, claimOperation).Scan(&oid, &want.verb, &want.reason, &want.actor)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claiming operation: %w", err)
		}
		again, want.operation = true, &oid
		var number int64
		var lid uuid.UUID
		if err := tx.QueryRow(ctx, nextItem, oid).Scan(&number, &lid); errors.Is(err, pgx.ErrNoRows) {
			_, err = tx.Exec(ctx, endOperation, oid)
			return err
		} else if err != nil {
			return fmt.Errorf("reading item: %w", err)
		}
		why, err := b.tryDecide(ctx, tx, inbox.DeadLetterID(lid), want)
		if err != nil {
			return err
		}
		outcome := 1
		if why != "" {
			outcome = 2
		}
		if _, err := tx.Exec(ctx, endItem, oid, number, outcome, why); err != nil {
			return fmt.Errorf("writing outcome: %w", err)
		}
		return nil
	})
	return again && err == nil, err
}

// tryDecide decides on one dead letter; why says why it is as it was.
func (b *box) tryDecide(ctx context.Context, tx *pg.Tx, id inbox.DeadLetterID, want decision) (why string, err error) {
	_, cause, err := b.decide(ctx, tx, id, want)
	if refused, ok := errors.AsType[*rpcerr.Error](err); ok {
		return refused.Message, nil
	}
	if cause != nil {
		why = "failed again: " + firstLine(cause)
	}
	return why, err
}
