package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// step is a job of one step that does nothing.
type step struct {
	Order string `json:"order"`
}

// Kind is what the queue calls the job.
func (step) Kind() string { return "step" }

// startRiver is jobs from their insertion, so many with one call, until they are completed. The library works in this process.
func startRiver(ctx context.Context, jobs int) (_ *subject, err error) {
	s := &subject{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	pool, err := s.startPool(ctx)
	if err != nil {
		return nil, err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[step]) error { return nil }))
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}}, Workers: workers, FetchCooldown: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	done := followJobs(client)
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	s.onStop(func() error { return client.StopAndCancel(context.Background()) })
	s.do = func(ctx context.Context, n int64) error {
		all := make([]river.InsertManyParams, jobs)
		for i := range all {
			all[i].Args = step{Order: fmt.Sprintf("order-%d-%d", n, i)}
		}
		inserted, err := client.InsertMany(ctx, all)
		if err != nil {
			return err
		}
		for _, one := range inserted {
			if err := done.await(ctx, one.Job.ID); err != nil {
				return err
			}
		}
		return nil
	}
	return s, nil
}

// jobsDone are the jobs that are completed.
type jobsDone struct {
	mu      sync.Mutex
	waiting map[int64]chan struct{} // closed when the job is completed
}

func followJobs(client *river.Client[pgx.Tx]) *jobsDone {
	d := &jobsDone{waiting: map[int64]chan struct{}{}}
	events, _ := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: 100_000, Kinds: []river.EventKind{river.EventKindJobCompleted}})
	go func() {
		for e := range events { // until the client is stopped
			close(d.of(e.Job.ID))
		}
	}()
	return d
}

func (d *jobsDone) of(id int64) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	done := d.waiting[id]
	if done == nil {
		done = make(chan struct{})
		d.waiting[id] = done
	}
	return done
}

func (d *jobsDone) await(ctx context.Context, id int64) error {
	done := d.of(id)
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting, id)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("the job does not end")
	}
}

// startPool starts a Postgres for a subject that is in this process, and connects to it.
func (s *subject) startPool(ctx context.Context) (*pgxpool.Pool, error) {
	postgres, err := s.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(postgres.DSN("postgres"))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 64
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { pool.Close(); return nil })
	return pool, s.measure(ctx, 0, postgres.DSN("postgres"))
}
