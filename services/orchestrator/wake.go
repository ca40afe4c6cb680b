package orchestrator

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/periodic"
)

// What replicas tell each other, on NATS itself and not on the stream: it is lost when nobody listens, and costs time
// only, for each of them looks by itself from time to time.
const (
	subjectWake = "orchestrator.sagas.wake"  // the ids of sagas, 16 bytes each, that were written to by others than their owner
	subjectFree = "orchestrator.shards.free" // there are shards to be taken

	// subjectOrders is what the stream is given of orders; whoever listens hears it, too.
	subjectOrders = "evt." + serviceName + ".order.*.*"
	// subjectPayments is what it is given of payments: recurring ones may be waited for.
	subjectPayments = "evt.payment.payment.*.*"
)

// maxWake is how many sagas one message tells of.
const maxWake = 4096

// waker tells other replicas, and is told.
type waker struct {
	nats *nats.Conn
	log  *slog.Logger
	free periodic.Bell // there are shards to be taken
}

func newWaker(nc *nats.Conn, log *slog.Logger) *waker {
	return &waker{nats: nc, log: log, free: periodic.NewBell()}
}

// hearers are who is told what.
type hearers struct {
	woken func([]SagaID)  // sagas that others tell of
	moved func(OrderID)   // orders whose state has changed
	paid  func(*nats.Msg) // payments to which something happened
}

// listen tells hearers until unsubscribe.
func (w *waker) listen(h hearers) (unsubscribe func(), err error) {
	var all []*nats.Subscription
	unsubscribe = func() {
		for _, s := range all {
			_ = s.Unsubscribe() // a connection that is closing ends it too
		}
	}
	for subject, handle := range map[string]nats.MsgHandler{
		subjectWake: func(m *nats.Msg) { h.woken(idsFrom(m.Data)) },
		subjectFree: func(*nats.Msg) {
			w.free.Ring()
		},
		subjectOrders: func(m *nats.Msg) {
			if orderID, changed := orderMoved(m.Subject); changed {
				h.moved(orderID)
			}
		},
		subjectPayments: h.paid,
	} {
		s, err := w.nats.Subscribe(subject, handle)
		if err != nil {
			unsubscribe()
			return nil, fmt.Errorf("listening to %s: %w", subject, err)
		}
		all = append(all, s)
	}
	return unsubscribe, nil
}

// orderMoved gives the order that an event's subject names, if the event says that its state has changed.
func orderMoved(subject string) (OrderID, bool) {
	parts := strings.Split(subject, ".")
	orderID, err := id.Parse[orderKind](parts[len(parts)-1])
	return orderID, err == nil && parts[len(parts)-2] != "placed"
}

// wake tells the owners of sagas that these were written to.
func (w *waker) wake(sagaIDs []SagaID) {
	for len(sagaIDs) > 0 {
		n := min(len(sagaIDs), maxWake)
		data := make([]byte, 0, n*len(uuid.UUID{}))
		for _, sagaID := range sagaIDs[:n] {
			data = append(data, sagaID[:]...)
		}
		w.tell(subjectWake, data)
		sagaIDs = sagaIDs[n:]
	}
}

// freed tells that there are shards to be taken.
func (w *waker) freed() { w.tell(subjectFree, nil) }

func (w *waker) tell(subject string, data []byte) {
	if err := w.nats.Publish(subject, data); err != nil {
		w.log.Debug("nobody is told", slog.String("subject", subject), slog.Any("error", err))
	}
}

func idsFrom(data []byte) []SagaID {
	const size = len(uuid.UUID{})
	ids := make([]SagaID, 0, len(data)/size)
	for ; len(data) >= size; data = data[size:] {
		ids = append(ids, SagaID(data[:size]))
	}
	return ids
}
