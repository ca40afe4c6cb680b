package shipment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// doubts are the shipments of one carrier whose outcome is not known.
type doubts struct {
	shipments int64
	oldest    time.Duration
}

// formerCarrier is what carriers are called together that there are no more.
const formerCarrier = "former"

// inDoubtByCarrier adds up those that have an index of their own: most shipments that have not ended are on their way.
const inDoubtByCarrier = `
SELECT carrier, count(*), now() - min(updated_at) FROM shipment
 WHERE look_at IS NOT NULL AND (state = 1 OR state = 2 AND cancelling) AND updated_at < now() - $1::interval
 GROUP BY carrier`

// inDoubt adds up, by carrier, the shipments that may or may not be scheduled, or cancelled, longer than anybody who was
// asked to find out is still at it.
func (s *shipments) inDoubt(ctx context.Context) (map[string]doubts, error) {
	found := map[string]doubts{}
	for name := range s.carriers.Carriers {
		found[name] = doubts{}
	}
	rows, err := s.pool.Query(ctx, inDoubtByCarrier, lease)
	if err != nil {
		return nil, fmt.Errorf("counting shipments in doubt: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var d doubts
		if err := rows.Scan(&name, &d.shipments, &d.oldest); err != nil {
			return nil, fmt.Errorf("counting shipments in doubt: %w", err)
		}
		if _, known := s.carriers.Carriers[name]; !known {
			name = formerCarrier
		}
		found[name] = doubts{found[name].shipments + d.shipments, max(found[name].oldest, d.oldest)}
	}
	return found, rows.Err()
}

// observe makes the metrics of shipments in doubt. They are read from the database when somebody collects them.
func (s *shipments) observe(m metric.Meter) error {
	count, err1 := m.Int64ObservableGauge("tieout.shipment.in_doubt",
		metric.WithDescription("Shipments whose outcome is not known, by carrier."))
	age, err2 := m.Float64ObservableGauge("tieout.shipment.in_doubt.age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest of the shipments in doubt has been; 0 when there is none."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		found, err := s.inDoubt(ctx)
		for name, d := range found {
			by := metric.WithAttributes(attribute.String("carrier", name))
			o.ObserveInt64(count, d.shipments, by)
			o.ObserveFloat64(age, d.oldest.Seconds(), by)
		}
		return err
	}, count, age)
	return err
}
