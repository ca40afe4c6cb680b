package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// brokenThing is a break that is to be repaired.
type brokenThing struct {
	id   uuid.UUID
	code breaks.Code
	// reopened is how often it was: each time it may be repaired once more.
	reopened int32
	// subject, orderID and paymentID are those of its sighting.
	subject, orderID, paymentID string
}

// key names what is done to repair it, so that it is done once.
func (b brokenThing) key(done ...string) string {
	return fmt.Sprintf("break/%s/%d/%s", b.id, b.reopened, strings.Join(done, "/"))
}

// errNotRepaired says that nothing can be done about a break without a person; the error that wraps it says why.
var errNotRepaired = errors.New("is not repaired")

func notRepaired(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errNotRepaired, fmt.Sprintf(format, args...))
}

// repairer repairs a break of one code, and says in words what it did.
type repairer func(t *ties, ctx context.Context, b brokenThing) (what string, err error)

// repairers are those that there are; what has none is for a person.
func repairers() map[breaks.Code]repairer {
	return map[breaks.Code]repairer{
		breaks.SagaDivergence:    (*ties).repairOrder,
		breaks.StateConflict:     (*ties).repairConflict,
		breaks.UnknownResolved:   (*ties).repairDoubt,
		breaks.MissingAtProvider: (*ties).askProvider,
	}
}

// repair repairs a break, and says in words what was done: the services are driven under keys of the break, so that asked twice
// it happens once. Whether it is repaired is seen by whoever sighted it. Errors: errNotRepaired, with what was found out; any
// other one says that it is not known, and that it may be asked for again.
func (r *reconciliation) repair(ctx context.Context, b brokenThing) (what string, err error) {
	by, there := repairers()[b.code]
	if !there || r.ties == nil {
		return "", notRepaired("there is nothing that repairs %s", b.code)
	}
	what, err = by(r.ties, ctx, b)
	outcome := "done"
	switch {
	case errors.Is(err, errNotRepaired):
		outcome = "refused"
	case err != nil:
		outcome = "unknown"
	}
	r.ties.metrics.repairs.Add(ctx, 1, metric.WithAttributes(outcomeKey.String(outcome)))
	return what, err
}

// repairOrder asks the owners anew what does not tie, and has them put it right: a saga that waits is driven on; of one that has
// ended, what it left is undone.
func (t *ties) repairOrder(ctx context.Context, b brokenThing) (what string, err error) {
	of := subjectOf(b.subject)
	if of == (subject{}) {
		return "", notRepaired("%q is no order", b.subject)
	}
	a, err := t.owners.ask(ctx, of, tieout.Facts{})
	if err != nil {
		return "", err
	}
	if a.order.Moving() {
		return "", notRepaired("the order goes on by itself")
	}
	divergences := a.order.Divergences()
	var done []string
	var left []string
	for i, d := range divergences {
		if slices.ContainsFunc(divergences[:i], func(e tieout.Divergence) bool { return e.Remedy == d.Remedy }) {
			continue
		}
		if d.Remedy == tieout.Person {
			left = append(left, d.Meaning)
			continue
		}
		did, err := t.owners.apply(ctx, b, d.Remedy, a)
		if err != nil {
			return "", err
		}
		done = append(done, did)
	}
	if err := newStore(t.pool).lookSoon(ctx, of, t.tieOut.Grace); err != nil {
		return "", err
	}
	switch {
	case len(divergences) == 0:
		return "it ties by what its owners say now", nil
	case len(done) == 0:
		return "", notRepaired("%s", strings.Join(left, " "))
	}
	return strings.Join(done, "; "), nil
}

// repairConflict asks the provider what became of a payment of which a statement says something else, and drives the saga that
// waits for it.
func (t *ties) repairConflict(ctx context.Context, b brokenThing) (what string, err error) {
	said, err := t.owners.inquire(ctx, b.paymentID)
	if err != nil {
		return "", err
	}
	driven, err := t.owners.retryParked(ctx, said.reference, b.key("retry"), fmt.Sprintf("%s: %s", b.code, said))
	if err != nil {
		return "", err
	}
	if !driven && !said.changed {
		return "", notRepaired("%s; its saga does not wait for anything", said)
	}
	if !driven {
		return said.String(), nil
	}
	return said.String() + "; the saga was told to go on", nil
}

// askProvider asks the provider by key what it knows of a payment that its report does not have. That repairs nothing, unless the
// payment was in doubt.
func (t *ties) askProvider(ctx context.Context, b brokenThing) (what string, err error) {
	said, err := t.owners.inquire(ctx, b.paymentID)
	if err != nil {
		return "", err
	}
	if !said.changed {
		return "", notRepaired("%s", said)
	}
	return said.String(), nil
}

// repairDoubt has the payment service resolve what a statement has proven.
func (t *ties) repairDoubt(ctx context.Context, b brokenThing) (what string, err error) {
	all, err := newStore(t.pool).provenDoubts(ctx, b.paymentID)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", notRepaired("nothing of %s is in doubt and on a statement", b.paymentID)
	}
	var done []string
	for _, d := range all {
		did, err := t.prove(ctx, d)
		if err != nil {
			return "", err
		}
		done = append(done, did)
	}
	return strings.Join(done, "; "), nil
}
