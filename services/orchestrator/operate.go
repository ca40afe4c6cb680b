package orchestrator

import (
	"context"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const methodOperate = "OperateSaga"

type operateCommand struct {
	request
	sagaID      string // or its order's
	instruction saga.Instruction
}

// operate does to a saga what a person has decided, with the audit row in the same transaction. Refused with
// SAGA_REFUSES_VERB when it is not possible or not safe.
func (o *orchestrator) operate(ctx context.Context, c operateCommand) (driven, error) {
	in := c.instruction
	r := c.idem(methodOperate, o.keyTTL,
		idem.Field{Name: "saga_id", Value: c.sagaID}, idem.Field{Name: "verb", Value: string(in.Verb)},
		idem.Field{Name: "reason", Value: in.Reason}, idem.Field{Name: "step", Value: in.Step}, idem.Field{Name: "evidence", Value: in.Evidence})
	err := o.change(ctx, r, c.sagaID, func(r run) (saga.Event, error) {
		e, err := saga.Operate(r.def, r.state, in, clock())
		if err != nil {
			return e, rpcerr.New(rpcerr.SagaRefusesVerb, "%v", err)
		}
		return e, nil
	}, &in)
	if err != nil {
		return driven{}, err
	}
	return o.getSaga(ctx, c.sagaID, 0)
}

// change records one event, decided from a saga's present state, once per request; of a person's instruction also
// the audit row.
func (o *orchestrator) change(ctx context.Context, r idem.Request, sagaOrOrderID string,
	decide func(run) (saga.Event, error), by *saga.Instruction,
) error {
	_, err := idem.Once(ctx, o.pool, r, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		resource, err := o.changeLocked(ctx, tx, sagaOrOrderID, decide, by)
		return struct{}{}, resource, err
	})
	return err
}

// changeLocked holds the saga from before it is looked at, so that nobody else changes it before it is decided.
func (o *orchestrator) changeLocked(ctx context.Context, tx *pg.Tx, sagaOrOrderID string,
	decide func(run) (saga.Event, error), by *saga.Instruction,
) (resource string, err error) {
	sagaID, err := findSaga(ctx, newStore(tx), sagaOrOrderID)
	if err != nil {
		return "", err
	}
	if err := lockSagas(ctx, tx, sagaID); err != nil {
		return "", err
	}
	d, err := o.loadOne(ctx, tx, sagaID)
	if err != nil {
		return "", err
	}
	e, err := decide(d.run)
	if err != nil {
		return "", err
	}
	t, err := d.transit([]saga.Event{e})
	if err != nil {
		return "", err
	}
	results, err := o.engine.record(ctx, tx, []transition{t})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return "", err
	}
	tx.AfterCommit(func() { o.recorded(ctx, []transition{t}) })
	if by == nil {
		return sagaID.String(), nil
	}
	return sagaID.String(), newStore(tx).insertActions(ctx, OperationID{}, *by, []transition{t})
}

// recorded tells of what people did that is durable, and has whoever drives the sagas go on from it.
func (o *orchestrator) recorded(ctx context.Context, durable []transition) {
	ids := make([]SagaID, len(durable))
	for i, t := range durable {
		o.engine.announce(ctx, t)
		ids[i] = t.view.id
	}
	o.engine.metrics.recorded(ctx, durable)
	o.engine.changed(ids...)
}
