package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/groupcommit"
)

const (
	selectOperations = `SELECT ` + operationColumns + `, p.currency FROM operation o JOIN payment p ON p.id = o.payment_id`

	// selectByKeys gives the operations that the provider knows under keys, and that were not abandoned.
	selectByKeys = `
SELECT ` + operationColumns + `, p.currency FROM unnest($1::text[]) AS n (key)
 CROSS JOIN LATERAL (SELECT * FROM operation WHERE provider_key = n.key AND state <> 6 OFFSET 0) AS o
 CROSS JOIN LATERAL (SELECT currency FROM payment WHERE id = o.payment_id OFFSET 0) AS p`

	// selectKnown gives the payments that are there of ids, and those whose operation the provider knows under keys. As in
	// selectPayments, OFFSET 0 keeps this one index lookup each.
	selectKnown = `
SELECT '', p.id FROM unnest($1::uuid[]) AS n (id)
 CROSS JOIN LATERAL (SELECT id FROM payment WHERE id = n.id OFFSET 0) AS p
 UNION ALL
SELECT n.key, o.payment_id FROM unnest($2::text[]) AS n (key)
 CROSS JOIN LATERAL (SELECT payment_id FROM operation WHERE provider_key = n.key AND state <> 6 OFFSET 0) AS o`

	// insertOperations writes intents, durable before the provider is asked. Two first requests under one key meet here:
	// the later one gets no row, once the earlier one has committed. They may leave from the time that the database's
	// clock shows.
	insertOperations = `
INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, sends, last_sent_at, look_at, by_operator)
SELECT payment_id, seq, op, state, amount_minor, provider_key, 1, clock_timestamp(), clock_timestamp() + look_in, by_operator
  FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[], $6::text[], $7::interval[], $8::boolean[])
       AS o (payment_id, seq, op, state, amount_minor, provider_key, look_in, by_operator)
 ORDER BY provider_key
    ON CONFLICT (provider_key) WHERE state <> 6 DO NOTHING
RETURNING payment_id, last_sent_at, look_at, created_at, updated_at`

	// updateOperations writes rows that are there and held, as updatePayments does.
	updateOperations = `
INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id, decline_reason, sends, last_sent_at,
                       looks, look_at, calls)
SELECT payment_id, seq, 1, state, 1, '-', provider_id, decline_reason, sends,
       CASE WHEN leaves THEN clock_timestamp() WHEN state IN (2, 3) THEN last_sent_at END, looks,
       CASE WHEN state IN (2, 3) THEN clock_timestamp() + look_in END, calls
  FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[], $5::text[], $6::int[], $7::timestamptz[], $8::int[],
              $9::interval[], $10::jsonb[], $11::boolean[])
       AS o (payment_id, seq, state, provider_id, decline_reason, sends, last_sent_at, looks, look_in, calls, leaves)
    ON CONFLICT (payment_id, seq) DO UPDATE
   SET state = excluded.state, provider_id = excluded.provider_id, decline_reason = excluded.decline_reason, sends = excluded.sends,
       last_sent_at = excluded.last_sent_at, looks = excluded.looks, look_at = excluded.look_at, calls = excluded.calls, updated_at = now()
RETURNING payment_id, seq, last_sent_at, look_at, updated_at`
)

func queueNewOperations(batch *pgx.Batch, made []*payment, each func(pgx.CollectableRow) error) {
	var ids []uuid.UUID
	var seqs, kinds, states []int16
	var amounts []int64
	var keys []string
	var lookIns []time.Duration
	var byOperators []bool
	for _, m := range made {
		o := m.Last
		ids, seqs = append(ids, m.ID.UUID()), append(seqs, o.Seq)
		kinds, states = append(kinds, opNumber(o.Op)), append(states, int16(o.State))
		amounts, keys = append(amounts, o.Amount.Minor), append(keys, o.Key)
		lookIns, byOperators = append(lookIns, o.lookIn), append(byOperators, o.ByOperator)
	}
	batch.Queue(insertOperations, ids, seqs, kinds, states, amounts, keys, lookIns, byOperators).Query(func(rows pgx.Rows) error {
		err := forEach(rows, each)
		if err == nil && rows.CommandTag().RowsAffected() < int64(len(made)) {
			return groupcommit.ErrAgain
		}
		return err
	})
}

func queueChangedOperations(batch *pgx.Batch, changed []*payment, each func(pgx.CollectableRow) error) {
	var ids []uuid.UUID
	var seqs, states []int16
	var providerIDs, reasons []string
	var sends, looks []int32
	var sentAts []*time.Time
	var lookIns []time.Duration
	var calls []json.RawMessage
	var leaves []bool
	for _, p := range changed {
		o := p.Last
		ids, seqs, states = append(ids, p.ID.UUID()), append(seqs, o.Seq), append(states, int16(o.State))
		providerIDs, reasons = append(providerIDs, o.ID), append(reasons, o.DeclineReason)
		sends, looks = append(sends, o.Sends), append(looks, o.Looks)
		sentAts, lookIns = append(sentAts, o.LastSentAt), append(lookIns, o.lookIn)
		said, err := json.Marshal(append([]call{}, o.Calls...))
		if err != nil {
			panic(err) // texts and times
		}
		calls, leaves = append(calls, said), append(leaves, o.leaves)
	}
	queueRows(batch, each, updateOperations, ids, seqs, states, providerIDs, reasons, sends, sentAts, looks, lookIns, calls, leaves)
}

// operations gives all operations that a condition holds for, in their order.
func (s store) operations(ctx context.Context, where string, args ...any) ([]operation, error) {
	return s.collectOperations(ctx, selectOperations+" WHERE "+where+" ORDER BY o.payment_id, o.seq", args...)
}

func (s store) collectOperations(ctx context.Context, query string, args ...any) ([]operation, error) {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading operations: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o operation, err error) {
		return o, row.Scan(append(o.columns(), &o.Amount.Currency)...)
	})
	if err != nil {
		return nil, fmt.Errorf("reading operations: %w", err)
	}
	return all, nil
}

// known tells which payments are there of ids, and which payment each of some keys of operations belongs to, of those that
// there are and were not abandoned.
func (s store) known(ctx context.Context, ids []uuid.UUID, keys []string) (there map[PaymentID]bool, byKey map[string]PaymentID, err error) {
	there, byKey = map[PaymentID]bool{}, map[string]PaymentID{}
	rows, err := s.db.Query(ctx, selectKnown, ids, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("finding payments: %w", err)
	}
	var key string
	var of PaymentID
	if _, err := pgx.ForEachRow(rows, []any{&key, &of}, func() error {
		if key == "" {
			there[of] = true
		} else {
			byKey[key] = of
		}
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("finding payments: %w", err)
	}
	return there, byKey, nil
}

// byKey gives the operation that the provider knows under a key; none when there is none, or it was abandoned.
func (s store) byKey(ctx context.Context, key string) (o operation, found bool, err error) {
	all, err := s.byKeys(ctx, key)
	o, found = all[key]
	return o, found, err
}

// byKeys is byKey for many.
func (s store) byKeys(ctx context.Context, keys ...string) (map[string]operation, error) {
	all, err := s.collectOperations(ctx, selectByKeys, keys)
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]operation, len(all))
	for _, o := range all {
		byKey[o.Key] = o
	}
	return byKey, nil
}

// columns are where a row of operationColumns goes.
func (o *operation) columns() []any {
	return []any{
		&o.Payment, &o.Seq, (*opColumn)(&o.Op), &o.State, &o.Amount.Minor, &o.Key, &o.ID, &o.DeclineReason, &o.Sends,
		&o.LastSentAt, &o.Looks, &o.LookAt, &o.ByOperator, &o.Calls, &o.CreatedAt, &o.UpdatedAt,
	}
}
