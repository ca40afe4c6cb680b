package reconciliation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// putFacts joins what was told to what is known, in one statement, and has those orders looked at of which something is new,
// when they have been quiet for the grace. Nothing is written of those of which nothing is. It joins as tieout.Facts.Join does.
func (s store) putFacts(ctx context.Context, told map[uuid.UUID]tieout.Facts, grace time.Duration) error {
	if len(told) == 0 {
		return nil
	}
	p := reconciliationdb.PutFactsParams{Several: int32(tieout.Several), GraceSeconds: firstLook(grace).Seconds()}
	for _, key := range slices.SortedFunc(maps.Keys(told), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		f := told[key]
		p.Ids, p.Recurring, p.Told = append(p.Ids, key), append(p.Recurring, f.Recurring), append(p.Told, int32(f.Told))
		p.Reservations, p.Shipments = append(p.Reservations, uuid.UUID(f.Reservation)), append(p.Shipments, uuid.UUID(f.Shipment))
		p.Payments, p.Currencies = append(p.Payments, uuid.UUID(f.Payment)), append(p.Currencies, string(f.Currency))
		p.Totals, p.Authorized = append(p.Totals, f.Total), append(p.Authorized, f.Authorized)
		p.Captured, p.Refunded = append(p.Captured, f.Captured), append(p.Refunded, f.Refunded)
		p.ChargedBack = append(p.ChargedBack, f.ChargedBack)
	}
	if err := s.q.PutFacts(ctx, p); err != nil {
		return fmt.Errorf("writing what was told of orders: %w", err)
	}
	return nil
}

// firstLook is when an order is looked at for the first time: most are quiet by then, so that they are looked at once.
func firstLook(grace time.Duration) time.Duration { return grace + grace/4 }

// known is what is known of an order.
type known struct {
	subject
	facts   tieout.Facts
	begunAt time.Time
	toldAt  time.Time
	now     time.Time // by the database's clock
	looks   int
	sighted bool
}

func knownFrom(row reconciliationdb.DueFactsRow) known {
	return known{
		subject: subject{id: row.ID, recurring: row.Recurring},
		facts: tieout.Facts{
			Recurring: row.Recurring, Told: tieout.Told(row.Told), //nolint:gosec // a set
			Reservation: tieout.ID(row.ReservationID), Shipment: tieout.ID(row.ShipmentID), Payment: tieout.ID(row.PaymentID),
			Currency: money.Currency(row.Currency), Total: row.TotalMinor, Authorized: row.AuthorizedMinor,
			Captured: row.CapturedMinor, Refunded: row.RefundedMinor, ChargedBack: row.ChargedBackMinor,
		},
		begunAt: row.BegunAt, toldAt: row.ToldAt, now: row.Now, looks: int(row.Looks), sighted: row.Sighted,
	}
}

// dueFacts gives up to n orders whose time to be looked at has come, the longest due first.
func (s store) dueFacts(ctx context.Context, n int32) ([]known, error) {
	rows, err := s.q.DueFacts(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("looking for orders to be tied out: %w", err)
	}
	all := make([]known, len(rows))
	for i, row := range rows {
		all[i] = knownFrom(row)
	}
	return all, nil
}

// factsOf gives what is known of an order; found says whether anything is. Nothing is locked: whoever takes something in begins
// with the delivery.
func (s store) factsOf(ctx context.Context, of subject) (k known, found bool, err error) {
	rows, err := s.q.GetFacts(ctx, of.id)
	if err != nil {
		return k, false, fmt.Errorf("reading what was told of an order: %w", err)
	}
	if len(rows) == 0 {
		return k, false, nil
	}
	return knownFrom(reconciliationdb.DueFactsRow(rows[0])), true, nil
}

// look is when an order is looked at next.
type look struct {
	known
	at time.Time // zero for not until something is told
}

// setLooks writes when orders are looked at next, but for those of which something was told since. The rows are found by their
// place in the table: as a join it would be planned while the table is small, and would read all of it when it has grown.
func (s store) setLooks(ctx context.Context, all []look) error {
	if len(all) == 0 {
		return nil
	}
	var ids []uuid.UUID
	var toldAts []time.Time
	var lookAts []*time.Time
	var looks []int32
	var sighted []bool
	for _, l := range all {
		at := &l.at
		if l.at.IsZero() {
			at = nil
		}
		ids, toldAts, lookAts = append(ids, l.id), append(toldAts, l.toldAt), append(lookAts, at)
		looks, sighted = append(looks, int32(min(l.looks, maxLooks))), append(sighted, l.sighted)
	}
	_, err := s.db.Exec(ctx, `
UPDATE order_fact f SET look_at = n.look_at, looks = n.looks, sighted = n.sighted
  FROM (SELECT w.told_at, w.look_at, w.looks, w.sighted, o.place
          FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::int[], $5::boolean[]) AS w (id, told_at, look_at, looks, sighted)
         CROSS JOIN LATERAL (SELECT ctid AS place FROM order_fact WHERE id = w.id OFFSET 0 FOR NO KEY UPDATE) AS o) AS n
 WHERE f.ctid = n.place AND f.told_at = n.told_at`, ids, toldAts, lookAts, looks, sighted)
	if err != nil {
		return fmt.Errorf("writing when orders are looked at: %w", err)
	}
	return nil
}

// lookSoon has an order looked at when what was done about it has had time to take effect.
func (s store) lookSoon(ctx context.Context, of subject, in time.Duration) error {
	if err := s.q.LookSoon(ctx, reconciliationdb.LookSoonParams{ID: of.id, Seconds: in.Seconds()}); err != nil {
		return fmt.Errorf("having an order looked at: %w", err)
	}
	return nil
}

// maxLooks is as far as looks are counted.
const maxLooks = 100
