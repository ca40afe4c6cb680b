package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const (
	methodPlanOperation   = "PlanSagaOperation"
	methodApplyOperation  = "ApplySagaOperation"
	methodCancelOperation = "CancelSagaOperation"

	// planTTL is how long a plan can be applied: what its figures say was looked at, and may have changed since.
	planTTL = time.Hour
	// dryRunBatch is how many sagas a plan looks at together.
	dryRunBatch = 1000
	// maxRefusals is how many refusals an operation shows.
	maxRefusals = 100

	numberOutOfRange = "22003" // Postgres' code for a sum that does not fit
)

// OperationID identifies an operation on many sagas.
type OperationID = id.ID[operationKind]

type operationKind struct{}

// Prefix implements id.Kind.
func (operationKind) Prefix() string { return "sop" }

// operationState is how far an operation has come.
type operationState uint8

// The states, as the database has them.
const (
	operationPlanned operationState = iota + 1
	operationRunning
	operationFinished
	operationCancelled
	operationExpired
)

var operationStateNames = [...]string{"", "planned", "running", "finished", "cancelled", "expired"}

// String is the name of the state.
func (s operationState) String() string { return operationStateNames[s] }

func (s operationState) ended() bool { return s > operationRunning }

// operation is one verb done to all sagas that matched a filter.
type operation struct {
	id           OperationID
	state        operationState
	filter       string
	instruction  saga.Instruction // its actor is who applied it
	plannedBy    string
	plannedAt    time.Time
	expiresAt    time.Time
	matched      int64
	possible     int64 // when it was planned
	totals       []operationTotal
	appliedAt    time.Time
	rate         int32
	done         int64
	refused      int64
	refusals     []refusal // not in lists
	cancelledBy  string
	cancelReason string
	endedAt      time.Time
}

// operationTotal is what the sagas of one currency come to.
type operationTotal struct {
	count int64
	sum   money.Amount
}

// refusal is why a saga cannot take a verb.
type refusal struct {
	sagaID SagaID
	why    string
}

type planCommand struct {
	request
	filter      string
	instruction saga.Instruction // its actor is who plans
}

// plan finds the sagas that a filter holds for, and keeps them with what they come to and how many could take the verb
// now. Nothing is done to them.
func (o *orchestrator) plan(ctx context.Context, c planCommand) (operation, error) {
	f, err := parseFilter(c.filter, o.engine.definitions.known())
	if err != nil {
		return operation{}, err
	}
	if f.Text == "" {
		return operation{}, rpcerr.ForField(rpcerr.FilterInvalid, "filter", "says nothing; an operation on all sagas is none that anybody wants")
	}
	in := c.instruction
	r := c.idem(methodPlanOperation, o.keyTTL,
		idem.Field{Name: "filter", Value: f.Text}, idem.Field{Name: "verb", Value: string(in.Verb)},
		idem.Field{Name: "reason", Value: in.Reason}, idem.Field{Name: "step", Value: in.Step}, idem.Field{Name: "evidence", Value: in.Evidence})
	oid, err := idem.Once(ctx, o.pool, r, func(ctx context.Context, tx *pg.Tx) (OperationID, string, error) {
		oid := id.New[operationKind]()
		return oid, oid.String(), o.planIn(ctx, newStore(tx), oid, f, in)
	})
	if err != nil {
		return operation{}, err
	}
	return newStore(o.pool).operation(ctx, oid)
}

func (o *orchestrator) planIn(ctx context.Context, st store, oid OperationID, f filter.Filter, in saga.Instruction) error {
	if err := st.insertOperation(ctx, oid, f.Text, in); err != nil {
		return err
	}
	matched, err := st.freeze(ctx, oid, f)
	if err != nil {
		return err
	}
	err = st.q.SumOperation(ctx, oid.UUID())
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == numberOutOfRange {
		return rpcerr.New(rpcerr.AmountOverflow, "what the sagas come to does not fit in 64 bits; plan fewer at once")
	}
	if err != nil {
		return fmt.Errorf("summing up plan: %w", err)
	}
	possible, refusals, err := o.dryRun(ctx, st, oid, in)
	if err != nil {
		return err
	}
	return st.finishPlan(ctx, oid, matched, possible, refusals)
}

// dryRun tells how many sagas of a plan could take the instruction now, and why some of the others could not.
func (o *orchestrator) dryRun(ctx context.Context, st store, oid OperationID, in saga.Instruction) (possible int64, refusals []refusal, err error) {
	for behind, more := (SagaID{}), true; more; {
		ids, err := st.items(ctx, oid, behind, dryRunBatch)
		if err != nil {
			return 0, nil, err
		}
		verdicts, err := o.bulk.decideAll(ctx, st.db, ids, in)
		if err != nil {
			return 0, nil, err
		}
		for _, v := range verdicts {
			if v.refusal == "" {
				possible++
			} else if len(refusals) < maxRefusals {
				refusals = append(refusals, refusal{v.sagaID, v.refusal})
			}
		}
		if more = len(ids) == dryRunBatch; more {
			behind = ids[len(ids)-1]
		}
	}
	return possible, refusals, nil
}

// verdict is what an instruction means for one saga: a transition, or why it cannot take it.
type verdict struct {
	sagaID     SagaID
	transition transition
	refusal    string
}

// decideAll says what an instruction means for each of some sagas. One that is not understood refuses it.
func (b *bulk) decideAll(ctx context.Context, db orchestratordb.DBTX, ids []SagaID, in saga.Instruction) ([]verdict, error) {
	all, err := b.load(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(ids))
	for i, sagaID := range ids {
		verdicts[i].sagaID = sagaID
		found, ok := all[sagaID]
		if !ok {
			verdicts[i].refusal = "there is no such saga any more"
			continue
		}
		t, err := found.decide(in)
		if err != nil {
			verdicts[i].refusal = err.Error()
			continue
		}
		verdicts[i].transition = t
	}
	return verdicts, nil
}

// decide makes an instruction the saga's next transition; the error says why it cannot be.
func (l loaded) decide(in saga.Instruction) (transition, error) {
	if l.err != nil {
		return transition{}, l.err
	}
	e, err := saga.Operate(l.def, l.state, in, clock())
	if err != nil {
		return transition{}, err
	}
	return l.transit([]saga.Event{e})
}
