package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// under names a part of what is done to repair a break, so that it is done once.
func (b *brokenThing) under(done ...string) string {
	return strings.Join(append([]string{b.key}, done...), "/")
}

// notRepaired says that nothing can be done about a break without a person, and why.
func notRepaired(format string, args ...any) error {
	return rpcerr.New(rpcerr.BreakNotRepairable, format, args...)
}

// repairers are those that there are; what has none is for a person. They drive the services under keys of the break, so that
// asked twice it happens once. Whether it is repaired is seen by whoever sighted it. Their errors are BREAK_NOT_REPAIRABLE, with
// what was found out; any other one says that it is not known, and that it may be asked for again.
func (t *ties) repairers() map[breaks.Code]repairer {
	return map[breaks.Code]repairer{
		breaks.SagaDivergence:    t.counted(t.repairOrder),
		breaks.StateConflict:     t.counted(t.repairConflict),
		breaks.UnknownResolved:   t.counted(t.repairDoubt),
		breaks.MissingAtProvider: t.counted(t.askProvider),
	}
}

// counted is a repairer whose outcomes are counted.
func (t *ties) counted(repair repairer) repairer {
	return func(ctx context.Context, b *brokenThing) (string, error) {
		what, err := repair(ctx, b)
		outcome := "done"
		switch {
		case rpcerr.Is(err, rpcerr.BreakNotRepairable):
			outcome = "refused"
		case err != nil:
			outcome = "unknown"
		}
		t.metrics.repairs.Add(ctx, 1, metric.WithAttributes(outcomeKey.String(outcome)))
		return what, err
	}
}

// repairOrder asks the owners anew what does not tie, and has them put it right: a saga that waits is driven on; of one that has
// ended, what it left is undone.
func (t *ties) repairOrder(ctx context.Context, b *brokenThing) (what string, err error) {
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
func (t *ties) repairConflict(ctx context.Context, b *brokenThing) (what string, err error) {
	said, err := t.owners.inquire(ctx, b.paymentID)
	if err != nil {
		return "", err
	}
	driven, err := t.owners.retryParked(ctx, said.reference, b.under("retry"), fmt.Sprintf("%s: %s", b.code, said))
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
func (t *ties) askProvider(ctx context.Context, b *brokenThing) (what string, err error) {
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
func (t *ties) repairDoubt(ctx context.Context, b *brokenThing) (what string, err error) {
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
