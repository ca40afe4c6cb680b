package main

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	pglocal "github.com/tieout/tieout/pkg/pg/local"
)

// startEvents is events from the transaction that writes them to the outbox, so many in one, until the transaction of the
// consumer that takes note of them. The kit works in this process, on two databases of one Postgres.
func startEvents(ctx context.Context, events int) (_ *subject, err error) {
	s := &subject{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	postgres, err := s.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	js, err := s.startStream(ctx)
	if err != nil {
		return nil, err
	}
	writer, err := s.openDatabase(ctx, postgres, "writer", outbox.Migrations)
	if err != nil {
		return nil, err
	}
	reader, err := s.openDatabase(ctx, postgres, "reader", inbox.Migrations)
	if err != nil {
		return nil, err
	}
	taken := &effects{waiting: map[string]func(){}}
	out := outbox.New(outbox.Config{Pool: writer, Service: "payment"})
	in := inbox.New(inbox.Config{Pool: reader}, inbox.Consumer{Name: "bench", Subjects: []string{"evt.payment.>"}, Handle: taken.handle})
	var duties errgroup.Group
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	duties.Go(func() error { return out.Run(running, js) })
	duties.Go(func() error { return in.Run(running, js) })
	s.onStop(func() error { cancel(); return duties.Wait() })
	if err := s.measure(ctx, 0, postgres.DSN("postgres")); err != nil {
		return nil, err
	}
	s.do = func(ctx context.Context, _ int64) error {
		var all sync.WaitGroup
		written := make([]bus.Event, events)
		for i := range written {
			all.Add(1)
			id := "pay_" + uuid.NewString()
			taken.on(id, all.Done)
			written[i] = bus.Event{Service: "payment", Entity: "payment", Name: "captured", Subject: id, Reference: "ord_" + id, Data: make([]byte, 120)}
		}
		if err := pg.InTx(ctx, writer, func(tx *pg.Tx) error { return out.Write(ctx, tx, written...) }); err != nil {
			return err
		}
		all.Wait()
		return nil
	}
	return s, nil
}

// openDatabase makes a database and connects to it.
func (s *subject) openDatabase(ctx context.Context, postgres *pglocal.Server, name string, migrations pg.Migrations) (*pgxpool.Pool, error) {
	dsn, err := postgres.EnsureDatabase(ctx, name)
	if err == nil {
		err = pg.Migrate(ctx, dsn, migrations)
	}
	if err != nil {
		return nil, err
	}
	pool, err := pg.Open(ctx, pg.Config{DSN: dsn, MaxConns: 16})
	if err == nil {
		s.onStop(func() error { pool.Close(); return nil })
	}
	return pool, err
}

// effects is a consumer that tells who waits for an event.
type effects struct {
	mu      sync.Mutex
	waiting map[string]func()
}

// on has done called when the effect of an event is durable.
func (e *effects) on(subject string, done func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[subject] = done
}

func (e *effects) handle(_ context.Context, tx *pg.Tx, events []bus.Event) error {
	tx.AfterCommit(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, event := range events {
			e.waiting[event.Subject]()
			delete(e.waiting, event.Subject)
		}
	})
	return nil
}
