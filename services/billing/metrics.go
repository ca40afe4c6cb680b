package billing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/billing/billingdb"
)

// metrics are the service's instruments.
type metrics struct {
	settled metric.Int64Counter
	proofs  metric.Int64Counter
}

func newMetrics(m metric.Meter) (metrics, error) {
	settled, err1 := m.Int64Counter("tieout.billing.items",
		metric.WithDescription("Items whose outcome came to be known, or to be in doubt, by outcome."))
	proofs, err2 := m.Int64Counter("tieout.billing.proofs",
		metric.WithDescription("Batches whose totals were proven, by whether they held."))
	return metrics{settled: settled, proofs: proofs}, errors.Join(err1, err2)
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
