package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func TestInTx_CommitsThenRunsAfterCommitInOrder(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	var log []string
	err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
		tx.AfterCommit(func() {
			if count(t, pool) == 1 {
				log = append(log, "first sees the row")
			}
		})
		tx.AfterCommit(func() { log = append(log, "second") })
		tx.AfterUnknown(func() { log = append(log, "unknown") })
		if err := add(t.Context(), tx, "a"); err != nil {
			return err
		}
		log = append(log, "fn ends")
		return nil
	})
	if err != nil {
		t.Fatalf("InTx: %v", err)
	}
	if diff := cmp.Diff([]string{"fn ends", "first sees the row", "second"}, log); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestInTxByKey_KeepsPlansThatReadNoWholeTable(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	const byKey = `SELECT count(*) FROM thing WHERE name = $1`
	err := pg.InTxByKey(t.Context(), pool, func(tx *pg.Tx) error {
		for range 3 {
			if _, err := tx.Exec(t.Context(), byKey, "a"); err != nil {
				return err
			}
		}
		var made, kept int
		err := tx.QueryRow(t.Context(), `SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = $1`, byKey).Scan(&made, &kept)
		if err != nil {
			return err
		}
		if made != 0 || kept != 3 {
			t.Errorf("the statement was planned for %d of 3 times, and its plan kept for %d", made, kept)
		}
		rows, err := tx.Query(t.Context(), `EXPLAIN `+byKey, "a")
		if err != nil {
			return err
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if strings.Contains(strings.Join(plan, "\n"), "Seq Scan") {
			t.Errorf("reads the whole table:\n%s", strings.Join(plan, "\n"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Column[string](t, pool, `SELECT current_setting('plan_cache_mode')`)[0]; got != "force_custom_plan" {
		t.Errorf("after the transaction the mode is %s", got)
	}
}

func TestInTx_ReturnsTheErrorUnchangedAndRollsBack(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	refusal := errors.New("no stock")
	err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
		tx.AfterCommit(func() { t.Error("AfterCommit ran after a rollback") })
		tx.AfterUnknown(func() { t.Error("AfterUnknown ran after a rollback") })
		if err := add(t.Context(), tx, "a"); err != nil {
			return err
		}
		return refusal
	})
	if err != refusal {
		t.Errorf("got error %v, want the function's own", err)
	}
	if got := count(t, pool); got != 0 {
		t.Errorf("got %d rows after a rollback, want 0", got)
	}
}

func TestInTx_RollsBackOnPanicAndGivesTheConnectionBack(t *testing.T) {
	t.Parallel()
	pool, err := pg.Open(t.Context(), pg.Config{DSN: pgtest.DSN(t, things), MaxConns: 1})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(pool.Close)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
			if err := add(t.Context(), tx, "a"); err != nil {
				return err
			}
			panic("broken")
		})
	}()
	if got := count(t, pool); got != 0 {
		t.Errorf("got %d rows after a panic, want 0", got)
	}
}

func TestInTx_CommitsThoughTheCallersDeadlineHasPassed(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	err := pg.InTx(ctx, pool, func(tx *pg.Tx) error {
		tx.AfterCommit(func() { ran = true })
		err := add(ctx, tx, "a")
		cancel()
		return err
	})
	if err != nil {
		t.Fatalf("InTx: %v", err)
	}
	if got := count(t, pool); got != 1 || !ran {
		t.Errorf("got %d rows, AfterCommit ran: %v; want 1, true", got, ran)
	}
}

func TestInTx_RollsBackWhenTheCallerGaveUpBeforeTheEnd(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	ctx, cancel := context.WithCancel(t.Context())
	err := pg.InTx(ctx, pool, func(tx *pg.Tx) error {
		if err := add(ctx, tx, "a"); err != nil {
			return err
		}
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, pg.ErrCommitUnknown) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	if got := count(t, pool); got != 0 {
		t.Errorf("got %d rows, want 0", got)
	}
}

// A refusal that comes with COMMIT is a failure, not an unknown.
func TestInTx_TellsARefusedCommitFromAnUnknownOne(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]struct {
		run   func(ctx context.Context, tx *pg.Tx) error
		check func(error) bool
	}{
		"deferred constraint": {
			run: func(ctx context.Context, tx *pg.Tx) error {
				return errors.Join(add(ctx, tx, "a"), add(ctx, tx, "a"))
			},
			check: func(err error) bool {
				refusal, ok := errors.AsType[*pgconn.PgError](err)
				return ok && refusal.Code == "23505" && refusal.ConstraintName == "thing_name_key"
			},
		},
		"swallowed statement error": {
			run: func(ctx context.Context, tx *pg.Tx) error {
				_, _ = tx.Exec(ctx, `SELECT 1/0`)
				return nil
			},
			check: func(err error) bool { return errors.Is(err, pgx.ErrTxCommitRollback) },
		},
		"connection closed before": {
			run: func(ctx context.Context, tx *pg.Tx) error {
				return errors.Join(add(ctx, tx, "a"), tx.Conn().Close(ctx))
			},
			check: func(err error) bool { return err != nil },
		},
		"rows left open": {
			run: func(ctx context.Context, tx *pg.Tx) error {
				_, err := tx.Query(ctx, `SELECT name FROM thing`)
				return err
			},
			check: func(err error) bool { return err != nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t, things)
			err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
				tx.AfterCommit(func() { t.Error("AfterCommit ran") })
				return fn.run(t.Context(), tx)
			})
			if !fn.check(err) || errors.Is(err, pg.ErrCommitUnknown) {
				t.Errorf("got error %v", err)
			}
			if got := count(t, pool); got != 0 {
				t.Errorf("got %d rows, want 0", got)
			}
		})
	}
}

func TestTx_CannotBeEndedByTheFunction(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
		if tx.Commit(t.Context()) == nil || tx.Rollback(t.Context()) == nil {
			t.Error("the function ended the transaction")
		}
		return add(t.Context(), tx, "a")
	})
	if err != nil {
		t.Fatalf("InTx: %v", err)
	}
	if got := count(t, pool); got != 1 {
		t.Errorf("got %d rows, want 1", got)
	}
}

func TestSavepoint_UndoesItsPartAndNoMore(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, things)
	var log []string
	refusal := errors.New("no stock")
	err := pg.InTx(t.Context(), pool, func(tx *pg.Tx) error {
		for _, part := range []struct {
			name string
			fail error
		}{{"kept", nil}, {"undone", refusal}, {"broken", errors.New("division by zero")}} {
			err := tx.Savepoint(t.Context(), func(tx *pg.Tx) error {
				tx.AfterCommit(func() { log = append(log, part.name) })
				if err := add(t.Context(), tx, part.name); err != nil {
					return err
				}
				if part.name == "broken" {
					_, err := tx.Exec(t.Context(), `SELECT 1/0`) // after which Postgres takes nothing but a rollback
					if err == nil {
						t.Error("got no error of a division by zero")
					}
				}
				return part.fail
			})
			if err != part.fail {
				t.Errorf("%s: got error %v, want %v", part.name, err, part.fail)
			}
		}
		return add(t.Context(), tx, "last")
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kept"}, log); diff != "" {
		t.Errorf("after the commit (-want +got):\n%s", diff)
	}
	if got := count(t, pool); got != 2 {
		t.Errorf("got %d rows, want the part that was kept and what came after", got)
	}
}
