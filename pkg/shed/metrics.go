package shed

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// refusals are the labels of refusals, made once: refusing has to be cheap.
var refusals = func() map[string][classes]metric.MeasurementOption {
	all := map[string][classes]metric.MeasurementOption{}
	for _, by := range []string{"limit", "backlog"} {
		var of [classes]metric.MeasurementOption
		for c := Finish; c <= Batch; c++ {
			of[c] = metric.WithAttributeSet(attribute.NewSet(attribute.String("class", c.String()), attribute.String("by", by)))
		}
		all[by] = of
	}
	return all
}()

func refusedBy(c Class, by string) metric.MeasurementOption { return refusals[by][c] }

// observe makes the gate's instruments.
func (g *Gate) observe(m metric.Meter) error {
	var err0 error
	g.rejected, err0 = m.Int64Counter("tieout.shed.rejected",
		metric.WithDescription("Calls refused because there is too much work, by class, and by what was full: limit or backlog."))
	limit, err1 := m.Int64ObservableGauge("tieout.shed.limit", metric.WithDescription("How many calls are let in at once, as found by trying."))
	inFlight, err2 := m.Int64ObservableGauge("tieout.shed.in_flight", metric.WithDescription("Calls that were let in and have not ended, by class."))
	queued, err3 := m.Int64ObservableGauge("tieout.shed.queued", metric.WithDescription("Calls that wait to be let in, by class."))
	most, err4 := m.Int64ObservableGauge("tieout.shed.backlog.limit", metric.WithDescription("How much of a backlog may be under way, as found by trying."))
	underWay, err5 := m.Int64ObservableGauge("tieout.shed.backlog.under_way", metric.WithDescription("How much of a backlog is under way."))
	if err := errors.Join(err0, err1, err2, err3, err4, err5); err != nil {
		return fmt.Errorf("making metrics of the gate: %w", err)
	}
	for _, of := range refusals {
		for c := Finish; c <= Batch; c++ {
			g.rejected.Add(context.Background(), 0, of[c])
		}
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		o.ObserveInt64(limit, int64(g.limit.Value()))
		for c := Finish; c <= Batch; c++ {
			class := metric.WithAttributes(attribute.String("class", c.String()))
			o.ObserveInt64(inFlight, int64(g.inFlight[c]), class)
			o.ObserveInt64(queued, int64(g.waiting[c].Len()), class)
		}
		for _, b := range g.backlogs {
			name := metric.WithAttributes(attribute.String("backlog", b.config.Name))
			l, n := b.state()
			o.ObserveInt64(most, int64(l), name)
			o.ObserveInt64(underWay, int64(n), name)
		}
		return nil
	}, limit, inFlight, queued, most, underWay)
	if err != nil {
		return fmt.Errorf("observing the gate: %w", err)
	}
	return nil
}
