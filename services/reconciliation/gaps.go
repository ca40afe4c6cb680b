package reconciliation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// answer is what the owners say of an order: the whole of it, as a picture and as what events would have told.
type answer struct {
	telling
	order tieout.Order
	// payments are the ids of its payments, shipments those of its shipments that are on their way.
	payments, shipments []string
}

// clear asks the owners about an order that does not tie by what was told of it, and writes what they say: what no event has
// told is taken in, as if it had; what they confirm is a divergence.
func (t *ties) clear(ctx context.Context, k known) error {
	a, err := t.owners.ask(ctx, k.subject, k.facts)
	if err != nil {
		return err
	}
	if a.order.Moving() {
		t.metrics.orders.Add(ctx, 1, verdictInFlight)
		return newStore(t.pool).setLooks(ctx, []look{{known: k, at: k.now.Add(t.leaveAlone(k.now.Sub(k.begunAt)))}})
	}
	return pg.InTx(ctx, t.pool, func(tx *pg.Tx) error { return t.conclude(ctx, tx, k, a) })
}

// conclude writes what the owners say of an order.
func (t *ties) conclude(ctx context.Context, tx *pg.Tx, k known, a answer) error {
	st := newStore(tx)
	before, _, err := st.factsOf(ctx, k.subject)
	if err != nil {
		return err
	}
	fresh, err := t.takeIn(ctx, tx, []telling{a.telling})
	if err != nil {
		return err
	}
	after, found, err := st.factsOf(ctx, k.subject)
	if err != nil || !found {
		return err
	}
	if err := t.heal(ctx, tx, k.String(), gapsOf(before.facts, after.facts, fresh)); err != nil {
		return err
	}
	next, verdict, sightings := look{known: after}, verdictTied, []sighting(nil)
	next.looks = 0
	if divergences := a.order.Divergences(); len(divergences) > 0 {
		if sightings, err = sightingsOf(k.subject, a, divergences); err != nil {
			return err
		}
		next.looks, verdict = k.looks+1, verdictDivergent
	}
	if len(sightings) > 0 || a.order.Phase == tieout.PhaseParked {
		next.at = after.now.Add(min(10*time.Minute<<min(k.looks, 10), longest)) // its events say it sooner, unless they are lost
	}
	if k.sighted || len(sightings) > 0 {
		if _, err := t.report(ctx, tx, watcher{name: "order", scope: k.String()}, 0, sightings, true); err != nil {
			return fmt.Errorf("sighting: %w", err)
		}
	}
	next.sighted = len(sightings) > 0
	tx.AfterCommit(func() { t.metrics.orders.Add(ctx, 1, verdict) })
	return st.setLooks(ctx, []look{next})
}

// sightingsOf is what does not tie, as one break of the order.
func sightingsOf(of subject, a answer, divergences []tieout.Divergence) ([]sighting, error) {
	type rule struct {
		Rule    string `json:"rule"`
		What    string `json:"what,omitempty"`
		Meaning string `json:"meaning"`
		Remedy  string `json:"remedy"`
	}
	s := sighting{code: breaks.SagaDivergence, subject: of.String(), account: defaultAccount, orderID: of.String(), amount: divergences[0].Amount}
	if len(a.payments) > 0 {
		s.paymentID = a.payments[0]
	}
	detail := struct {
		Phase string `json:"phase"`
		Rules []rule `json:"rules"`
	}{Phase: a.order.Phase.String()}
	for _, d := range divergences {
		detail.Rules = append(detail.Rules, rule{d.Rule, d.What, d.Meaning, string(d.Remedy)})
		if s.amount.IsZero() {
			s.amount = d.Amount
		}
	}
	text, err := json.Marshal(detail)
	s.detail = string(text)
	return []sighting{s}, err
}

// gap is what one owner knows and no event has told.
type gap struct {
	owner   string
	missing []string
}

// owned says whose events tell what.
var owned = []struct {
	told  tieout.Told
	owner string
	name  string
}{
	{tieout.Placed, "orchestrator", "order.placed"}, {tieout.Completed, "orchestrator", "order.completed"},
	{tieout.Compensated, "orchestrator", "order.compensated"}, {tieout.Parked, "orchestrator", "order.parked"},
	{tieout.Held, "inventory", "reservation.held"}, {tieout.Released, "inventory", "reservation.released"},
	{tieout.Committed, "inventory", "reservation.committed"}, {tieout.Expired, "inventory", "reservation.expired"},
	{tieout.Scheduled, "shipment", "shipment.scheduled"}, {tieout.Cancelled, "shipment", "shipment.cancelled"},
	{tieout.Returned, "shipment", "shipment.returned"}, {tieout.Authorized, "payment", "payment.authorized"},
	{tieout.Voided, "payment", "payment.voided"}, {tieout.Declined, "payment", "payment.declined"},
}

// gapsOf is what the owners told beyond what events had.
func gapsOf(before, after tieout.Facts, fresh []ourMovement) []gap {
	var gaps []gap
	missing := func(owner, what string) {
		if i := slices.IndexFunc(gaps, func(g gap) bool { return g.owner == owner }); i >= 0 {
			gaps[i].missing = append(gaps[i].missing, what)
			return
		}
		gaps = append(gaps, gap{owner, []string{what}})
	}
	for _, o := range owned {
		if after.Told&o.told != 0 && before.Told&o.told == 0 {
			missing(o.owner, o.name)
		}
	}
	for _, m := range fresh {
		missing("ledger", fmt.Sprintf("%s of %s, %s", m.what, m.paymentID, m.amount))
	}
	return gaps
}

// heal counts gaps that are filled in the transaction, and tells of them.
func (t *ties) heal(ctx context.Context, tx *pg.Tx, about string, gaps []gap) error {
	for _, g := range gaps {
		if err := t.outbox.Write(ctx, tx, eventGapHealed(about, g)); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			t.metrics.gaps.Add(ctx, int64(len(g.missing)), metric.WithAttributes(ownerKey.String(g.owner)))
		})
	}
	return nil
}
