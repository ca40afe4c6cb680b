package billing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

// metrics are the service's instruments.
type metrics struct {
	settled metric.Int64Counter
	proofs  metric.Int64Counter
	decided metric.Int64Counter
}

func newMetrics(m metric.Meter) (metrics, error) {
	settled, err1 := m.Int64Counter("tieout.billing.items",
		metric.WithDescription("Items whose outcome came to be known, or to be in doubt, by outcome."))
	proofs, err2 := m.Int64Counter("tieout.billing.proofs",
		metric.WithDescription("Batches whose totals were proven, by whether they held."))
	decided, err3 := m.Int64Counter("tieout.billing.occurrences",
		metric.WithDescription("Occurrences of schedules that were decided on, by state, and of those that are not run the reason."))
	all := metrics{settled: settled, proofs: proofs, decided: decided}
	if err := errors.Join(err1, err2, err3); err != nil {
		return all, err
	}
	ctx := context.Background()
	for _, outcome := range []itemState{itemSucceeded, itemFailed, itemUnknown} {
		all.settled.Add(ctx, 0, metric.WithAttributes(attribute.String("outcome", outcome.String())))
	}
	for _, holds := range []bool{true, false} {
		all.proofs.Add(ctx, 0, metric.WithAttributes(attribute.Bool("holds", holds)))
	}
	all.occurrences(ctx, 0, occurrenceRun, "")
	all.occurrences(ctx, 0, occurrenceMissed, calendar.SkipMissed)
	return all, nil
}

// counted counts items that were settled.
func (m metrics) counted(ctx context.Context, settled []billingdb.SettleItemsRow) {
	counts := map[itemState]int64{}
	for _, r := range settled {
		counts[itemState(r.State)]++
	}
	for state, n := range counts {
		m.settled.Add(ctx, n, metric.WithAttributes(attribute.String("outcome", state.String())))
	}
}

// proven counts a proof.
func (m metrics) proven(ctx context.Context, p proof) {
	m.proofs.Add(ctx, 1, metric.WithAttributes(attribute.Bool("holds", p.difference == "")))
}

// decidedOn counts occurrences by what was decided on them.
func (m metrics) decidedOn(ctx context.Context, decided []*occurrence) {
	type kind struct {
		state occurrenceState
		why   calendar.Skip
	}
	counts := map[kind]int64{}
	for _, o := range decided {
		counts[kind{o.state, o.why}]++
	}
	for k, n := range counts {
		m.occurrences(ctx, n, k.state, k.why)
	}
}

func (m metrics) occurrences(ctx context.Context, n int64, state occurrenceState, why calendar.Skip) {
	m.decided.Add(ctx, n, metric.WithAttributes(attribute.String("state", state.String()), attribute.String("reason", string(why))))
}
