package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/benchtest"
)

// meter reads what a subject and the load on it have cost so far.
type meter struct {
	// system is the subject's process; 0 when it is a library in this one.
	system int
	// conn leads to the subject's Postgres, and postmaster is the process of that; nil and 0 without one.
	conn       *pgx.Conn
	postmaster int
	// events counts messages published so far; nil when there are none.
	events func() (int64, error)
}

// newMeter measures a subject with a Postgres at a URL; an empty URL means without one.
func newMeter(ctx context.Context, system int, dsn string) (*meter, error) {
	m := &meter{system: system}
	if dsn == "" {
		return m, nil
	}
	var err error
	if m.conn, err = pgx.Connect(ctx, dsn); err != nil {
		return nil, err
	}
	m.postmaster, err = benchtest.Postmaster(ctx, m.conn)
	return m, err
}

// reading is what everything has cost since it began.
type reading struct {
	at                    time.Time
	system, postgres, own time.Duration // of processors
	commits, rows, wal    int64
	events                int64
}

func (m *meter) read(ctx context.Context) (r reading, err error) {
	if m.system > 0 {
		if r.system, err = benchtest.Used(m.system, false); err != nil {
			return r, fmt.Errorf("reading what the system has used: %w", err)
		}
	}
	if r.own, err = benchtest.Used(os.Getpid(), false); err != nil {
		return r, err
	}
	if m.events != nil {
		if r.events, err = m.events(); err != nil {
			return r, err
		}
	}
	if m.conn != nil {
		if r.postgres, err = benchtest.Used(m.postmaster, true); err != nil {
			return r, err
		}
		err = m.conn.QueryRow(ctx, `
SELECT sum(xact_commit)::bigint, sum(tup_inserted + tup_updated + tup_deleted)::bigint, (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint
  FROM pg_stat_database`).Scan(&r.commits, &r.rows, &r.wal)
	}
	r.at = time.Now()
	return r, err
}

// Costs are what one unit costs.
type Costs struct {
	// SystemCPU, PostgresCPU and OwnCPU are microseconds of processors: of the subject's process, of its Postgres with all
	// backends, and of this process, which makes the load and holds subjects that are libraries.
	SystemCPU   float64 `json:"system_cpu_us"`
	PostgresCPU float64 `json:"postgres_cpu_us"`
	OwnCPU      float64 `json:"own_cpu_us"`
	// Commits and Rows are transactions committed and rows inserted, updated and deleted, in all databases.
	Commits float64 `json:"commits"`
	Rows    float64 `json:"rows"`
	// WAL is in bytes.
	WAL float64 `json:"wal_bytes"`
	// Events are messages in the stream.
	Events float64 `json:"events"`
}

// CPU is everything together.
func (c Costs) CPU() float64 { return c.SystemCPU + c.PostgresCPU + c.OwnCPU }

// costs of so many units between two readings.
func costs(from, to reading, units float64) Costs {
	each := func(n int64) float64 { return float64(n) / units }
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / units }
	return Costs{
		SystemCPU: micros(to.system - from.system), PostgresCPU: micros(to.postgres - from.postgres), OwnCPU: micros(to.own - from.own),
		Commits: each(to.commits - from.commits), Rows: each(to.rows - from.rows), WAL: each(to.wal - from.wal), Events: each(to.events - from.events),
	}
}
