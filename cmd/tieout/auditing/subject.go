package auditing

import (
	"context"
	"iter"
	"time"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
)

// ending is how something has ended.
type ending int

const (
	isOpen ending = iota // also when it waits for a person
	isCompleted
	isCompensated
)

// subject is what payments are made for: an order, or a recurring payment.
type subject struct {
	id, kind  string
	end       ending
	total     *commonv1.Amount
	created   time.Time
	shipments int            // that it has when it is completed
	order     *orderv1.Order // nil for a recurring payment
	reference string         // of a recurring payment: which attempt at which item of which batch
}

// String is what it is called in a finding.
func (s subject) String() string { return s.kind + " " + s.id }

func subjectOfOrder(o *orderv1.Order) subject {
	ends := map[orderv1.OrderState]ending{
		orderv1.OrderState_ORDER_STATE_COMPLETED: isCompleted, orderv1.OrderState_ORDER_STATE_COMPENSATED: isCompensated,
	}
	return subject{
		id: o.GetOrderId(), kind: "order", end: ends[o.GetState()], total: o.GetTotal(), created: o.GetCreateTime().AsTime(), shipments: 1, order: o,
	}
}

func subjectOfSaga(s *sagav1.Saga) subject {
	ends := map[sagav1.SagaPhase]ending{
		sagav1.SagaPhase_SAGA_PHASE_COMPLETED: isCompleted, sagav1.SagaPhase_SAGA_PHASE_COMPENSATED: isCompensated,
	}
	return subject{
		id: s.GetRecurringPaymentId(), kind: "recurring payment", end: ends[s.GetPhase()], total: s.GetTotal(),
		created: s.GetCreateTime().AsTime(), reference: s.GetReference(),
	}
}

func (c *comparer) subjectOrders(ctx context.Context) iter.Seq2[subject, error] {
	return each(c.listOrders(ctx), subjectOfOrder)
}

func (c *comparer) subjectPayments(ctx context.Context) iter.Seq2[subject, error] {
	return each(c.listSagas(ctx, `definition = "recurring"`), subjectOfSaga)
}

func each[T any](list iter.Seq2[T, error], as func(T) subject) iter.Seq2[subject, error] {
	return func(yield func(subject, error) bool) {
		for item, err := range list {
			if err != nil {
				yield(subject{}, err)
				return
			}
			if !yield(as(item), nil) {
				return
			}
		}
	}
}

// newestFirst gives what two lists have, both newest first, as one.
func newestFirst(a, b iter.Seq2[subject, error]) iter.Seq2[subject, error] {
	return func(yield func(subject, error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		ofA, errA, moreA := nextA()
		ofB, errB, moreB := nextB()
		for moreA || moreB {
			if !moreB || moreA && (errA != nil || errB == nil && ofA.created.After(ofB.created)) {
				if !yield(ofA, errA) || errA != nil {
					return
				}
				ofA, errA, moreA = nextA()
				continue
			}
			if !yield(ofB, errB) || errB != nil {
				return
			}
			ofB, errB, moreB = nextB()
		}
	}
}

func (c *comparer) listSagas(ctx context.Context, filter string) iter.Seq2[*sagav1.Saga, error] {
	return pages(func(token string) ([]*sagav1.Saga, string, error) {
		p, err := c.sagas.ListSagas(ctx, &sagav1.ListSagasRequest{PageSize: pageSize, PageToken: token, Filter: filter})
		return p.GetSagas(), p.GetNextPageToken(), err
	})
}
