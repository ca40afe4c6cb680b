package shipment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// ending is how a request ends that the carrier was asked for, and what becomes of its shipment.
type ending struct {
	idem.Ending
	state       shipmentState // 0 when the shipment stays what it is, or there is none
	tracking    string        // when there is one now
	reason      string        // of a refusal
	traceparent string        // of what caused it
	sagaID      string        // that it is for; empty for none
}

// Trace is the trace context that the write of it is part of.
func (e ending) Trace() string { return e.traceparent }

// booked is what the carrier's answer to a booking means.
func booked(tracking string, err error) (ending, error) {
	if refusal, ok := errors.AsType[*carrier.RefusedError](err); ok {
		return ending{state: refused, reason: reason(refusal)}, nil
	}
	if err == nil && !isName(tracking) {
		return ending{}, fmt.Errorf("the carrier gives %q as a tracking number", tracking)
	}
	return ending{state: scheduled, tracking: tracking}, err
}

func carrierRefused(reason string) error {
	return rpcerr.New(rpcerr.CarrierRefused, "the carrier does not take the shipment: %s", reason)
}

func outcomeUnknown() error {
	e := rpcerr.New(rpcerr.CarrierOutcomeUnknown, "the carrier was asked and its answer was lost; ask again under the same key")
	e.RetryAfter = askAgainAfter
	return e
}

// ask asks a parcel's carrier on a claim, in the trace of its request; without a parcel there is nothing to ask. When the
// carrier's answer is lost, the claim is given back, so that the next request under the key asks again at once.
func (s *shipments) ask(ctx context.Context, r request, name string, claim *idem.Claim, p *parcel,
	question func(context.Context, carrier.Carrier) (ending, error),
) (ending, error) {
	ctx, span := rpc.StartItem(telemetry.WithSaga(ctx, telemetry.SagaOf(r.key)), s.tracer, name, r.traceparent)
	e, err := s.asked(ctx, p, question)
	e.Claim = claim
	e.traceparent, e.sagaID = telemetry.OriginOf(ctx), telemetry.SagaIn(ctx)
	said := e.GiveBack
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "the carrier's answer was lost", slog.String("shipment_id", claim.Resource), slog.Any("error", err))
		said = outcomeUnknown()
		e = ending{Ending: idem.Ending{Claim: claim, GiveBack: said}}
	case e.state == refused:
		said = carrierRefused(e.reason)
	case e.state == handedOver:
		said = hasLeft()
	}
	rpc.EndItem(span, said)
	return e, nil
}

// asked gives what a parcel's carrier says. One that this service does not have any more is not known to say anything.
func (s *shipments) asked(ctx context.Context, p *parcel, question func(context.Context, carrier.Carrier) (ending, error)) (ending, error) {
	if p == nil {
		return ending{}, nil
	}
	by, known := s.carriers.Carriers[p.carrier]
	if !known {
		return ending{}, fmt.Errorf("there is no carrier %q any more", p.carrier)
	}
	ctx, cancel := context.WithTimeout(ctx, carrierTimeout)
	defer cancel()
	return question(ctx, by)
}

// finish writes down how requests of a batch ended.
func (s *shipments) finish(ctx context.Context, endings []ending) []groupcommit.Result[*shipment] {
	results := s.ends.DoAll(ctx, endings)
	for i := range results {
		if errors.Is(results[i].Err, idem.ErrClaimLost) {
			results[i].Err = outcomeUnknown() // it is another request's to tell
		}
	}
	return results
}

// end writes down how requests ended: their shipments, their answers, and their events.
func (s *shipments) end(ctx context.Context, tx *pg.Tx, batch []ending) ([]groupcommit.Result[*shipment], error) {
	endings := make([]idem.Ending, len(batch))
	for i, e := range batch {
		endings[i] = e.Ending
	}
	return idem.EndAll(ctx, tx, endings, func(ctx context.Context, tx *pg.Tx, held []int) ([]idem.Outcome[*shipment], error) {
		var changed []ending
		var at []int // of their outcomes
		for n, i := range held {
			if batch[i].state != 0 {
				changed, at = append(changed, batch[i]), append(at, n)
			}
		}
		outcomes := make([]idem.Outcome[*shipment], len(held))
		if len(changed) == 0 {
			return outcomes, nil
		}
		settled, err := newStore(tx.Later()).put(ctx, changed)
		if err != nil {
			return nil, err
		}
		var events []bus.Event
		for k, sh := range settled {
			outcomes[at[k]] = changed[k].outcome(sh.shipment)
			if sh.changed {
				e := eventOf(sh.shipment)
				e.Traceparent, e.SagaID = changed[k].traceparent, changed[k].sagaID
				events = append(events, e)
			}
		}
		return outcomes, s.outbox.Write(ctx, tx, events...)
	})
}

// outcome is what a request is answered, by what its shipment is now.
func (e ending) outcome(sh shipment) idem.Outcome[*shipment] {
	switch {
	case sh.State == refused:
		return idem.Outcome[*shipment]{Err: carrierRefused(sh.RefusalReason)}
	case sh.State.left() && e.state != scheduled:
		return idem.Outcome[*shipment]{Err: hasLeft()}
	}
	return idem.Outcome[*shipment]{Answer: &sh, Resource: sh.ID.String()}
}
