package reconciliation

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// provenDoubt is a movement in doubt whose counterpart is on a statement.
type provenDoubt struct {
	doubt
	amount money.Amount // of the movement; more than zero
	stated int64        // what the statement says, in minor units, with the same sign
	// providerID is the provider's id of what happened, as the statement has it; empty when it names none.
	providerID string
	evidence   string
	attempts   int16
}

const (
	// maxProven is how many doubts are resolved in a round, and proofAttempts how often it is tried; then it is for a person.
	maxProven     = 16
	proofAttempts = 5
	// proofAgain is when it is tried again, twice as long each time.
	proofAgain = time.Minute
)

// proveOnce has payments resolved that are in doubt and that a statement has proven by an id of theirs.
func (t *ties) proveOnce(ctx context.Context) (again bool, err error) {
	st := newStore(t.pool)
	all, err := st.provenDoubts(ctx, "")
	if err != nil {
		return false, err
	}
	for _, d := range all {
		if err := st.q.TryDoubt(ctx, reconciliationdb.TryDoubtParams{Key: d.key, Seconds: (proofAgain << d.attempts).Seconds()}); err != nil {
			return false, fmt.Errorf("writing that a doubt is resolved: %w", err)
		}
		what, err := t.prove(ctx, d)
		outcome, failure := "done", ""
		if err != nil {
			outcome, failure = "unknown", err.Error()
			if rpcerr.Is(err, rpcerr.BreakNotRepairable) {
				outcome = "refused"
			}
			t.log.WarnContext(ctx, "what a statement proves is not resolved", slog.String("payment_id", d.paymentID), slog.Any("error", err))
		} else {
			t.log.InfoContext(ctx, "what a statement proves is resolved", slog.String("payment_id", d.paymentID), slog.String("what", what))
		}
		t.metrics.repairs.Add(ctx, 1, metric.WithAttributes(outcomeKey.String(outcome)))
		if err := st.q.SetDoubtFailure(ctx, reconciliationdb.SetDoubtFailureParams{Key: d.key, Failure: failure}); err != nil {
			return false, fmt.Errorf("writing what came of a doubt: %w", err)
		}
	}
	return len(all) == maxProven, nil
}

// provenDoubts gives those whose time to be resolved has come; of one payment all, whenever they were tried, and however their
// counterpart was found.
func (s store) provenDoubts(ctx context.Context, paymentID string) ([]provenDoubt, error) {
	rows, err := s.q.ProvenDoubts(ctx, reconciliationdb.ProvenDoubtsParams{PaymentID: paymentID, Attempts: proofAttempts, N: maxProven})
	if err != nil {
		return nil, fmt.Errorf("looking for doubts that are proven: %w", err)
	}
	all := make([]provenDoubt, len(rows))
	for i, r := range rows {
		all[i] = provenDoubt{
			doubt:  doubt{key: r.Key, paymentID: r.PaymentID, operationKey: r.OperationKey},
			amount: money.Amount{Currency: money.Currency(r.Currency), Minor: r.AmountMinor}, stated: r.StatedMinor,
			providerID: r.ProviderID, attempts: r.Attempts,
			evidence: fmt.Sprintf("statement line %d, %s", r.Line, uuid.UUID(r.StatedKey)),
		}
	}
	return all, nil
}

// prove has the payment service resolve one, under a key of its own, and drives its saga where that waits for a person.
func (t *ties) prove(ctx context.Context, d provenDoubt) (what string, err error) {
	switch {
	case d.operationKey == "":
		return "", notRepaired("the payment service did not tell which operation of %s is in doubt", d.paymentID)
	case d.providerID == "":
		return "", notRepaired("the statement does not name the charge of %s", d.paymentID)
	case d.stated != d.amount.Minor:
		return "", notRepaired("the statement says %d of %s, and in doubt are %d", d.stated, d.amount.Currency, d.amount.Minor)
	}
	said, err := t.owners.resolve(ctx, d)
	if err != nil {
		return "", err
	}
	driven, err := t.owners.retryParked(ctx, said.reference, "doubt/"+d.key.String()+"/retry", d.evidence)
	if err != nil {
		return "", err
	}
	if driven {
		return said.String() + "; the saga was told to go on", nil
	}
	return said.String(), nil
}
