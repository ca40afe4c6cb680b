package orchestrator

import (
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// What replicas tell each other, on NATS itself and not on the stream: it is lost when nobody listens, and costs time
// only, for each of them looks by itself from time to time.
const (
	subjectWake = "orchestrator.sagas.wake"  // the ids of sagas, 16 bytes each, that were written to by others than their owner
	subjectFree = "orchestrator.shards.free" // there are shards to be taken
)

// maxWake is how many sagas one message tells of.
const maxWake = 4096

// waker tells other replicas, and is told.
type waker struct {
	nats *nats.Conn
	log  *slog.Logger
	free chan struct{} // holds one element when there are shards to be taken
}

func newWaker(nc *nats.Conn, log *slog.Logger) *waker {
	return &waker{nats: nc, log: log, free: make(chan struct{}, 1)}
}

// listen has woken called with the sagas that others tell of, until unsubscribe.
func (w *waker) listen(woken func([]SagaID)) (unsubscribe func(), err error) {
	wakes, err := w.nats.Subscribe(subjectWake, func(m *nats.Msg) { woken(idsFrom(m.Data)) })
	if err != nil {
		return nil, fmt.Errorf("listening for wake-ups: %w", err)
	}
	frees, err := w.nats.Subscribe(subjectFree, func(*nats.Msg) {
		select {
		case w.free <- struct{}{}:
		default:
		}
	})
	if err != nil {
		_ = wakes.Unsubscribe() // the connection is closing, which ends it too
		return nil, fmt.Errorf("listening for free shards: %w", err)
	}
	return func() { _, _ = wakes.Unsubscribe(), frees.Unsubscribe() }, nil
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
