package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tieout/tieout/pkg/periodic"
)

// restFactor is how many times as long as a round of checks took there is none: what watches takes at most a
// twentieth of one connection's time, however large the tables are.
const restFactor = 20

// Watch keeps the metric current until ctx ends, with a round of checks at most as often as every says. A check of
// what holds always runs only when something was written since it ran.
func (a *Auditor) Watch(ctx context.Context, every time.Duration) error {
	w := &watch{Auditor: a, written: map[string]int64{}, told: map[string]int64{}}
	return periodic.Duty{Name: "audit", Every: every, RunOnce: w.runOnce, Log: a.log}.Run(ctx)
}

// watch is the state of Watch; it belongs to one goroutine.
type watch struct {
	*Auditor
	restsUntil time.Time
	written    map[string]int64 // by service: rows ever written, before the last whole round
	told       map[string]int64 // by service and view: violations as logged last
}

func (w *watch) runOnce(ctx context.Context) (again bool, err error) {
	begun := time.Now()
	if begun.Before(w.restsUntil) {
		return false, nil
	}
	var errs []error
	for _, d := range w.databases {
		errs = append(errs, w.round(ctx, d))
	}
	w.restsUntil = time.Now().Add(restFactor * time.Since(begun))
	return false, errors.Join(errs...)
}

// round checks one database.
func (w *watch) round(ctx context.Context, d database) error {
	written, err := d.written(ctx)
	if err != nil {
		return err
	}
	checks, err := d.checks(ctx)
	if err != nil {
		return err
	}
	last, known := w.written[d.service]
	var errs []error
	for _, c := range checks {
		if known && last == written && c.kind == always {
			continue
		}
		r, err := w.run(ctx, d, c)
		if err != nil {
			return err
		}
		if r.err != nil {
			errs = append(errs, fmt.Errorf("checking %s of %s: %w", c.view, c.service, r.err))
			continue
		}
		w.tell(ctx, r)
	}
	if len(errs) == 0 {
		w.written[d.service] = written
	}
	return errors.Join(errs...)
}

// tell logs what changed since the last round.
func (w *watch) tell(ctx context.Context, r result) {
	key := r.service + " " + r.view
	if r.count == w.told[key] {
		return
	}
	w.told[key] = r.count
	attrs := []slog.Attr{slog.String("service", r.service), slog.String("invariant", r.view), slog.Int64("violations", r.count)}
	if r.count == 0 {
		w.log.LogAttrs(ctx, slog.LevelInfo, "invariant holds again", attrs...)
		return
	}
	attrs = append(attrs, slog.String("statement", r.statement), slog.String("first", r.violations[0].id))
	w.log.LogAttrs(ctx, slog.LevelError, "invariant is violated", attrs...)
}

// written is how many rows were ever written in a database, its catalogue included. The server's counters may be
// some seconds late, which is another round's business.
func (d database) written(ctx context.Context) (rows int64, err error) {
	err = d.pool.QueryRow(ctx, `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_all_tables`).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("looking for changes in the database of %s: %w", d.service, err)
	}
	return rows, nil
}
