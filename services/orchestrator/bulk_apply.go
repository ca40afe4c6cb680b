package orchestrator

import (
	"context"
	"strconv"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func parseOperationID(s string) (OperationID, error) {
	oid, err := id.Parse[operationKind](s)
	if err != nil {
		return oid, rpcerr.ForField(rpcerr.RequestInvalid, "operation_id", "%v", err)
	}
	return oid, nil
}

type applyCommand struct {
	request
	operationID string
	rate        int32 // sagas a second at most; 0 for no limit
}

// apply has a plan carried out in the background, or changes the rate of an operation that runs. Refused with
// OPERATION_NOT_OPEN when the plan is too old or the operation has ended.
func (o *orchestrator) apply(ctx context.Context, c applyCommand) (operation, error) {
	r := c.idem(methodApplyOperation, o.keyTTL,
		idem.Field{Name: "operation_id", Value: c.operationID}, idem.Field{Name: "rate_per_second", Value: strconv.Itoa(int(c.rate))})
	return o.changeOperation(ctx, r, c.operationID, func(ctx context.Context, st store, oid OperationID) (int64, error) {
		return st.applyOperation(ctx, oid, c.caller, c.rate)
	})
}

type cancelOperationCommand struct {
	request
	operationID string
	reason      string
}

// cancelOperation stops an operation behind the batch that is under way. Refused with OPERATION_NOT_OPEN when there is
// nothing to stop.
func (o *orchestrator) cancelOperation(ctx context.Context, c cancelOperationCommand) (operation, error) {
	r := c.idem(methodCancelOperation, o.keyTTL,
		idem.Field{Name: "operation_id", Value: c.operationID}, idem.Field{Name: "reason", Value: c.reason})
	return o.changeOperation(ctx, r, c.operationID, func(ctx context.Context, st store, oid OperationID) (int64, error) {
		return st.cancelOperation(ctx, oid, c.caller, c.reason)
	})
}

// changeOperation changes an operation that is open, once per request, and gives it as it stands.
func (o *orchestrator) changeOperation(ctx context.Context, r idem.Request, operationID string,
	change func(context.Context, store, OperationID) (changed int64, err error),
) (operation, error) {
	oid, err := parseOperationID(operationID)
	if err != nil {
		return operation{}, err
	}
	_, err = idem.Once(ctx, o.pool, r, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		st := newStore(tx)
		changed, err := change(ctx, st, oid)
		if err != nil {
			return struct{}{}, "", err
		}
		if changed == 0 {
			op, err := st.operation(ctx, oid)
			if err != nil {
				return struct{}{}, "", err
			}
			return struct{}{}, "", rpcerr.New(rpcerr.OperationNotOpen, "operation %s is %s", oid, op.state)
		}
		tx.AfterCommit(func() {
			o.watchers.Notify(oid.UUID())
			o.bulk.wakeUp()
		})
		return struct{}{}, oid.String(), nil
	})
	if err != nil {
		return operation{}, err
	}
	return newStore(o.pool).operation(ctx, oid)
}

// getOperation gives an operation with its refusals; NOT_FOUND when there is none.
func (o *orchestrator) getOperation(ctx context.Context, operationID string) (operation, error) {
	oid, err := parseOperationID(operationID)
	if err != nil {
		return operation{}, err
	}
	return newStore(o.pool).operation(ctx, oid)
}

// listOperations gives up to n operations planned before one, newest first.
func (o *orchestrator) listOperations(ctx context.Context, before OperationID, n int32) ([]operation, error) {
	return newStore(o.pool).operations(ctx, before, n)
}
