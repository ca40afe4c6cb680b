package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/paymentdb"
)

// errChanged says that the operation is not as it was seen any more: another request works on it.
var errChanged = errors.New("payment was changed by another request")

// store is rows ↔ domain, on a pool or in a transaction.
type store struct {
	db db
	q  *paymentdb.Queries
}

// db is a pool or a transaction.
type db interface {
	paymentdb.DBTX
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func newStore(db db) store { return store{db, paymentdb.New(db)} }

// newLater is a store whose journals are left for later.
func newLater(tx *pg.Tx) store { return store{tx, paymentdb.New(tx.Later())} }

const (
	paymentColumns = `p.id, p.state, p.currency, p.amount_minor, p.payment_method, p.customer_id, p.reference, p.provider_key,
       p.provider_charge_id, p.decline_reason, p.captured_minor, p.refunded_minor, p.charged_back_minor, p.created_at, p.updated_at`
	operationColumns = `o.payment_id, o.seq, o.op, o.state, o.amount_minor, o.provider_key, o.provider_id, o.decline_reason, o.sends,
       o.last_sent_at, o.looks, o.look_at, o.by_operator, o.calls, o.created_at, o.updated_at`

	// selectPayments gives payments with their last operations, and the time of the database's clock, which wrote when
	// they were sent. OFFSET 0 keeps this one index lookup each: as a join it would be planned while the tables are
	// small, and would read all of them when they have grown.
	selectPayments = `
SELECT ` + paymentColumns + `, clock_timestamp(), ` + operationColumns + `
  FROM (SELECT unnest($1::uuid[]) AS id) AS n
 CROSS JOIN LATERAL (SELECT * FROM payment WHERE id = n.id OFFSET 0) AS p
 CROSS JOIN LATERAL (SELECT * FROM operation WHERE payment_id = p.id AND seq = p.operations OFFSET 0) AS o`

	// lockPayments holds payments, and so their operations, to the end of the transaction, in the order given. What is
	// read after it is final.
	lockPayments = `
SELECT p.id FROM (SELECT unnest($1::uuid[]) AS id) AS n
 CROSS JOIN LATERAL (SELECT id FROM payment WHERE id = n.id OFFSET 0 FOR NO KEY UPDATE) AS p`

	insertPayments = `
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])`

	// updatePayments writes rows that are there and held, so that none is inserted; this way each
	// is found through the primary key, whatever the plan.
	updatePayments = `
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id,
                     decline_reason, captured_minor, refunded_minor, charged_back_minor, operations)
SELECT id, state, 'XXX', amount, '', '', '', '-', provider_charge_id, decline_reason, captured, refunded, charged_back, operations
  FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::smallint[])
       AS p (id, state, amount, provider_charge_id, decline_reason, captured, refunded, charged_back, operations)
    ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, provider_charge_id = excluded.provider_charge_id, decline_reason = excluded.decline_reason,
       captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor,
       charged_back_minor = excluded.charged_back_minor, operations = excluded.operations, updated_at = now()
RETURNING id, updated_at`
)

// insert writes operations as sent, with their payments: new ones, and those that are held and go on from an earlier
// operation. Superseded are held payments whose last operation is given up before that. It is left for later: then they are
// completed with their times, and groupcommit.ErrAgain says that another first request under one of the keys was first.
func insert(tx *pg.Tx, made []*payment, superseded ...*payment) {
	if len(made) == 0 {
		return
	}
	byID := make(map[uuid.UUID]*payment, len(made))
	var first, further []*payment
	for _, m := range made {
		byID[m.ID.UUID()] = m
		if m.Last.Seq == 1 {
			first = append(first, m)
		} else {
			further = append(further, m)
		}
	}
	batch := &pgx.Batch{}
	none := func(pgx.CollectableRow) error { return nil }
	if len(superseded) > 0 {
		queueChangedOperations(batch, superseded, none)
	}
	if len(first) > 0 {
		queueNewPayments(batch, first)
	}
	if len(further) > 0 {
		queueChangedPayments(batch, further, none)
	}
	queueNewOperations(batch, made, func(row pgx.CollectableRow) error {
		var of uuid.UUID
		var o operation
		if err := row.Scan(&of, &o.LastSentAt, &o.LookAt, &o.CreatedAt, &o.UpdatedAt); err != nil {
			return err
		}
		m := byID[of]
		m.Last.LastSentAt, m.Last.LookAt, m.Last.CreatedAt, m.Last.UpdatedAt = o.LastSentAt, o.LookAt, o.CreatedAt, o.UpdatedAt
		if m.UpdatedAt = o.UpdatedAt; m.Last.Seq == 1 {
			m.CreatedAt = o.CreatedAt
		}
		return nil
	})
	tx.Later().Batch(batch)
}

func queueNewPayments(batch *pgx.Batch, made []*payment) {
	var ids []uuid.UUID
	var states []int16
	var currencies, methods, customers, references, keys []string
	var amounts []int64
	for _, m := range made {
		ids, states = append(ids, m.ID.UUID()), append(states, int16(m.State))
		currencies, amounts = append(currencies, string(m.Amount.Currency)), append(amounts, m.Amount.Minor)
		methods, customers = append(methods, m.Method), append(customers, m.CustomerID)
		references, keys = append(references, m.Reference), append(keys, m.ProviderKey)
	}
	batch.Queue(insertPayments, ids, states, currencies, amounts, methods, customers, references, keys)
}

// lock holds payments to the end of the transaction, in an order that is the same for all, and reads them.
func (s store) lock(ctx context.Context, ids []PaymentID) (map[PaymentID]payment, error) {
	batch := &pgx.Batch{}
	keys := uuids(ids)
	batch.Queue(lockPayments, keys)
	return s.read(ctx, batch, keys)
}

// get reads payments. What is not there is missing from the map.
func (s store) get(ctx context.Context, ids ...PaymentID) (map[PaymentID]payment, error) {
	return s.read(ctx, &pgx.Batch{}, uuids(ids))
}

func uuids(ids []PaymentID) []uuid.UUID {
	keys := make([]uuid.UUID, len(ids))
	for i, pid := range ids {
		keys[i] = pid.UUID()
	}
	slices.SortFunc(keys, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(keys)
}

func (s store) read(ctx context.Context, batch *pgx.Batch, keys []uuid.UUID) (map[PaymentID]payment, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	found := make(map[PaymentID]payment, len(keys))
	batch.Queue(selectPayments, keys).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scanPayment)
		for _, p := range all {
			found[p.ID] = p
		}
		return err
	})
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	return found, nil
}

// payment reads one payment; NOT_FOUND when there is none.
func (s store) payment(ctx context.Context, paymentID string) (payment, error) {
	missing := rpcerr.ForField(rpcerr.NotFound, "payment_id", "there is no payment %.128q", paymentID)
	pid, err := id.Parse[paymentKind](paymentID)
	if err != nil {
		return payment{}, missing
	}
	found, err := s.get(ctx, pid)
	if err != nil {
		return payment{}, err
	}
	p, ok := found[pid]
	if !ok {
		return payment{}, missing
	}
	return p, nil
}

// paymentFilter says which payments are listed; what is zero holds for all.
type paymentFilter struct {
	state                 state
	customerID, reference string
	inDoubt               bool
}

// list gives up to n payments that a filter holds for and that were made before one, newest first.
func (s store) list(ctx context.Context, f paymentFilter, before PaymentID, n int32) ([]payment, error) {
	var where conditions
	where.add("p.id < $%d", before.UUID())
	if f.state != 0 {
		where.add("p.state = $%d", int16(f.state))
	}
	if f.customerID != "" {
		where.add("p.customer_id = $%d", f.customerID)
	}
	if f.reference != "" {
		where.add("p.reference = $%d", f.reference)
	}
	if f.inDoubt {
		where.add("o.state IN (2, 3) AND o.state = 3") // which has an index
	}
	args := append(where.args, n)
	rows, err := s.db.Query(ctx, fmt.Sprintf(`
SELECT %s, now(), %s FROM payment p JOIN operation o ON o.payment_id = p.id AND o.seq = p.operations%s ORDER BY p.id DESC LIMIT $%d`,
		paymentColumns, operationColumns, where.sql(), len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("listing payments: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanPayment)
	if err != nil {
		return nil, fmt.Errorf("listing payments: %w", err)
	}
	return all, nil
}

func scanPayment(row pgx.CollectableRow) (p payment, err error) {
	o := &p.Last
	err = row.Scan(append([]any{
		&p.ID, &p.State, &p.Amount.Currency, &p.Amount.Minor, &p.Method, &p.CustomerID, &p.Reference, &p.ProviderKey,
		&p.ChargeID, &p.DeclineReason, &p.Captured, &p.Refunded, &p.ChargedBack, &p.CreatedAt, &p.UpdatedAt, &p.readAt,
	}, o.columns()...)...)
	o.Amount.Currency = p.Amount.Currency
	return p, err
}

// update writes payments, which are held, and their last operations, where they have them, and completes them with their
// times.
func (s store) update(ctx context.Context, changed []*payment) error {
	if len(changed) == 0 {
		return nil
	}
	byID := make(map[uuid.UUID]*payment, len(changed))
	for _, p := range changed {
		byID[p.ID.UUID()] = p
	}
	batch := &pgx.Batch{}
	queueChangedPayments(batch, changed, func(row pgx.CollectableRow) error {
		var of uuid.UUID
		var at time.Time
		err := row.Scan(&of, &at)
		if err == nil {
			byID[of].UpdatedAt = at
		}
		return err
	})
	queueChangedOperations(batch, changed, func(row pgx.CollectableRow) error {
		var of uuid.UUID
		var o operation
		err := row.Scan(&of, &o.Seq, &o.LastSentAt, &o.LookAt, &o.UpdatedAt)
		if p := byID[of]; err == nil && p.Last.Seq == o.Seq {
			p.Last.LastSentAt, p.Last.LookAt, p.Last.UpdatedAt = o.LastSentAt, o.LookAt, o.UpdatedAt
		}
		return err
	})
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing payments: %w", err)
	}
	return nil
}

func queueChangedPayments(batch *pgx.Batch, changed []*payment, each func(pgx.CollectableRow) error) {
	var ids []uuid.UUID
	var states, operations []int16
	var amounts, captured, refunded, chargedBack []int64
	var charges, reasons []string
	for _, p := range changed {
		ids, states, operations = append(ids, p.ID.UUID()), append(states, int16(p.State)), append(operations, p.Last.Seq)
		amounts, captured = append(amounts, p.Amount.Minor), append(captured, p.Captured)
		refunded, chargedBack = append(refunded, p.Refunded), append(chargedBack, p.ChargedBack)
		charges, reasons = append(charges, p.ChargeID), append(reasons, p.DeclineReason)
	}
	queueRows(batch, each, updatePayments, ids, states, amounts, charges, reasons, captured, refunded, chargedBack, operations)
}

// updatePayment writes a payment that is held, and completes it with its time; it leaves its operations alone.
func (s store) updatePayment(ctx context.Context, p *payment) error {
	batch := &pgx.Batch{}
	queueChangedPayments(batch, []*payment{p}, func(row pgx.CollectableRow) error { return row.Scan(nil, &p.UpdatedAt) })
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing payment: %w", err)
	}
	return nil
}

// queueRows queues a statement whose rows are given to each.
func queueRows(batch *pgx.Batch, each func(pgx.CollectableRow) error, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error { return forEach(rows, each) })
}

func forEach(rows pgx.Rows, each func(pgx.CollectableRow) error) error {
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
