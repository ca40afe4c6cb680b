package reconciliation

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// tieMetrics are the instruments of the internal side.
type tieMetrics struct {
	orders  metric.Int64Counter
	gaps    metric.Int64Counter
	repairs metric.Int64Counter
}

// ownerKey and outcomeKey label what owners told, and what came of repairs.
const (
	ownerKey   = attribute.Key("owner")
	outcomeKey = attribute.Key("outcome")
)

// The verdicts on orders, as attributes.
var (
	verdictTied      = verdictOf("tied")
	verdictInFlight  = verdictOf("in_flight")
	verdictDivergent = verdictOf("divergent")
	verdictUnknown   = verdictOf("unknown")
)

func verdictOf(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("verdict", name))
}

func newTieMetrics(m metric.Meter) (tieMetrics, error) {
	orders, err1 := m.Int64Counter("tieout.reconciliation.orders",
		metric.WithDescription("Orders that were tied out, by verdict; unknown are those whose owners could not be asked."))
	gaps, err2 := m.Int64Counter("tieout.reconciliation.gaps",
		metric.WithDescription("What owners told when they were asked and no event had told, by owner."))
	repairs, err3 := m.Int64Counter("tieout.reconciliation.repairs",
		metric.WithDescription("Repairs that were tried, by outcome."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return tieMetrics{}, err
	}
	ctx := context.Background()
	for _, verdict := range []metric.MeasurementOption{verdictTied, verdictInFlight, verdictDivergent, verdictUnknown} {
		orders.Add(ctx, 0, verdict)
	}
	for _, owner := range []string{"inventory", "payment", "shipment"} {
		gaps.Add(ctx, 0, metric.WithAttributes(ownerKey.String(owner)))
	}
	for _, outcome := range []string{"done", "refused", "unknown"} {
		repairs.Add(ctx, 0, metric.WithAttributes(outcomeKey.String(outcome)))
	}
	return tieMetrics{orders: orders, gaps: gaps, repairs: repairs}, nil
}

// judged counts orders that were judged without asking anybody.
func (m tieMetrics) judged(ctx context.Context, looks []look) {
	tied := 0
	for _, l := range looks {
		if l.at.IsZero() {
			tied++
		}
	}
	m.orders.Add(ctx, int64(tied), verdictTied)
	m.orders.Add(ctx, int64(len(looks)-tied), verdictInFlight)
}
