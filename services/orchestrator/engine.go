package orchestrator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

const (
	// driverLock is the advisory lock of the replica that drives.
	driverLock int64 = 0x7469656f75740002
	// scanEvery is how soon a replica that drives notices what others took in, and one that does not that it may.
	scanEvery = time.Second
)

// engine drives the live sagas while this replica is the one that drives. Each live saga has a goroutine that
// does what saga.Next says; calls holds how many do so at once.
type engine struct {
	pool        *pgxpool.Pool
	outbox      *outbox.Outbox
	log         *slog.Logger
	tracer      trace.Tracer
	metrics     engineMetrics
	definitions map[definitionKey]saga.Definition
	actions     map[string]action
	watchers    *watchers
	transitions *transitions
	slots       chan struct{}
	lock        *pg.SessionLock
	stopping    <-chan struct{} // closes before the servers of this process are drained

	mu      sync.Mutex
	driving context.Context // nil while this replica does not drive
	stop    context.CancelFunc
	drivers map[SagaID]chan struct{} // a wake-up channel per live saga
	running sync.WaitGroup
}

// run drives until the process begins to stop, and then hands over at once: what is under way is left to whoever
// drives next, who asks again under the same keys.
func (e *engine) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-e.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer e.resign()
	return periodic.Duty{Name: "saga scan", Every: scanEvery, RunOnce: e.runOnce, Log: e.log}.Run(ctx)
}

// runOnce takes the lead if it is free, and sees to it that every live saga is driven.
func (e *engine) runOnce(ctx context.Context) (again bool, err error) {
	led := e.lock.Held()
	held, err := e.lock.Acquire(ctx)
	if err != nil || !held {
		return false, err
	}
	if !led {
		e.lead(ctx)
	}
	live, err := newStore(e.lock.Conn()).liveSagas(ctx)
	if err != nil {
		e.resign()
		return false, err
	}
	for _, sagaID := range live {
		e.ensure(sagaID, nil)
	}
	return false, nil
}

func (e *engine) lead(ctx context.Context) {
	e.log.InfoContext(ctx, "this replica drives the sagas")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.driving, e.stop = context.WithCancel(ctx)
}

// resign stops driving, waits for the drivers, and leaves the sagas to whoever takes the lock next.
func (e *engine) resign() {
	e.mu.Lock()
	if e.driving != nil {
		e.stop()
		e.driving = nil
	}
	e.mu.Unlock()
	e.running.Wait()
	e.lock.Release()
}

// ensure sees to it that a saga is driven, if this replica drives. Known is the saga where it was just taken in, nil
// where it has to be read.
func (e *engine) ensure(sagaID SagaID, known *driven) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.driving == nil || e.drivers[sagaID] != nil {
		return
	}
	ctx, wake := e.driving, make(chan struct{}, 1)
	e.drivers[sagaID] = wake
	e.running.Go(func() {
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.drivers, sagaID)
		}()
		e.drive(ctx, sagaID, known, wake)
	})
}

// changed has a saga looked at again, because somebody else than its driver wrote to it.
func (e *engine) changed(sagaID SagaID) {
	e.ensure(sagaID, nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case e.drivers[sagaID] <- struct{}{}:
	default: // not driven here, or nudged already
	}
}

// sleep waits until a time, a wake-up or ctx's end; it reports whether it was the time.
func sleep(ctx context.Context, until time.Time, wake <-chan struct{}) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
	case <-ctx.Done():
	}
	return false
}
