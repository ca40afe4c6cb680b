package orchestrator

import (
	"context"
	"strconv"
	"time"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// recurring is the name of the definition that recurring payments run.
const recurring = "recurring"

// recurringV1 takes the money of one recurring payment, and nothing else: what came of it is told to billing by event.
// There is nothing to turn back to. An answer that was lost is asked for again under the same key; payment looks up
// what it does not know itself.
var recurringV1 = saga.Definition{
	Name: recurring, Version: 1, Deadline: 24 * time.Hour,
	Steps: []saga.Step{
		{
			Name: stepCharge, Kind: saga.Pivot, Execute: callChargeRecurring, Money: true,
			Forward: patience(10*time.Second, untilSomeoneLooks),
		},
	},
}

const methodStartRecurring = "StartRecurringPayment"

// recurringPayment is a payment that billing has made.
type recurringPayment struct {
	id        RecurringID
	sagaID    SagaID
	reference string // in the words of who started it
	subject
	createdAt time.Time
}

// starting is a recurring payment on its way into the database.
type starting struct {
	request
	payment     recurringPayment
	traceparent string
}

// started is what is answered to who started one.
type started struct {
	ID     RecurringID `json:"recurring_payment_id"`
	SagaID SagaID      `json:"saga_id"`
}

type recurringIntake = groupcommit.Group[starting, idem.Answer[started]]

// newRecurring gives a payment its ids. Refused when nobody can be charged it.
func newRecurring(reference string, s subject) (recurringPayment, error) {
	p := recurringPayment{
		id: id.New[recurringKind](), sagaID: id.New[sagaKind](), reference: reference, subject: s, createdAt: clock(),
	}
	p.subject.reference = p.id.String()
	return p, checkAmount("amount", s.total)
}

// startRecurring makes recurring payments and their sagas durable, those that wait together, and has them driven.
func (o *orchestrator) startRecurring(ctx context.Context, tx *pg.Tx, batch []starting) ([]groupcommit.Result[idem.Answer[started]], error) {
	requests := make([]idem.Request, len(batch))
	for i, s := range batch {
		requests[i] = s.idempotency(o.keyTTL)
	}
	return idem.OnceAll(ctx, tx, requests, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Outcome[started], error) {
		outcomes, payments := make([]idem.Outcome[started], len(fresh)), make([]recurringPayment, len(fresh))
		begun, subjects := make([]transition, len(fresh)), make([]subject, len(fresh))
		for n, i := range fresh {
			p := batch[i].payment
			t, err := begin(recurringV1, sagaView{
				id: p.sagaID, subject: p.id.UUID(), reference: p.reference, traceparent: batch[i].traceparent, createdAt: p.createdAt,
			})
			if err != nil {
				return nil, err
			}
			payments[n], begun[n], subjects[n] = p, t, p.subject
			outcomes[n] = idem.Outcome[started]{Answer: started{p.id, p.sagaID}, Resource: p.id.String()}
		}
		tx.AfterCommit(func() { o.engine.takeIn(recurringV1, begun, subjects) })
		st := newStore(tx.Later())
		if err := st.insertRecurring(ctx, payments); err != nil {
			return nil, err
		}
		if err := st.insertSagas(ctx, begun); err != nil {
			return nil, err
		}
		return outcomes, appendEvents(ctx, tx, begun)
	})
}

func (s starting) idempotency(ttl time.Duration) idem.Request {
	p := s.payment
	return s.idem(methodStartRecurring, ttl,
		idem.Field{Name: "reference", Value: p.reference}, idem.Field{Name: "customer_id", Value: p.customerID},
		idem.Field{Name: "payment_method", Value: p.paymentMethod},
		idem.Field{Name: "amount.currency_code", Value: string(p.total.Currency)},
		idem.Field{Name: "amount.minor_units", Value: strconv.FormatInt(p.total.Minor, 10)})
}
