package pg_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// trips notes the round trips of a pool: the first words of the statements of each.
type trips struct{ all []string }

func firstWord(sql string) string { return strings.ToLower(strings.Fields(sql)[0]) }

func (r *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.all = append(r.all, firstWord(data.SQL))
	return ctx
}

func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	var words []string
	for _, q := range data.Batch.QueuedQueries {
		words = append(words, firstWord(q.SQL))
	}
	r.all = append(r.all, strings.Join(words, " "))
	return ctx
}

func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

type inTx = func(ctx context.Context, pool *pgxpool.Pool, fn func(tx *pg.Tx) error) error

// each runs a test on transactions of both kinds.
func each(t *testing.T, test func(t *testing.T, in inTx, pool *pgxpool.Pool)) {
	for name, in := range map[string]inTx{"InTx": pg.InTx, "InTxByKey": pg.InTxByKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, in, pgtest.Pool(t, things))
		})
	}
}

func addLater(tx *pg.Tx, name any) {
	if _, err := tx.Later().Exec(context.Background(), `INSERT INTO thing (name) VALUES ($1)`, name); err != nil {
		panic(err)
	}
}

func TestLater_TravelsWithTheNextStatement(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		in   inTx
		want []string
	}{
		"InTx":      {pg.InTx, []string{"begin select", "insert insert select", "insert update", "insert", "delete", "insert delete", "insert insert insert", "commit"}},
		"InTxByKey": {pg.InTxByKey, []string{"begin set set select", "insert insert select", "insert update", "insert", "delete", "insert delete", "insert insert insert", "commit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noted := &trips{}
			pool, err := pg.Open(t.Context(), pg.Config{DSN: pgtest.DSN(t, things), Tracer: noted})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			var log []string
			err = of.in(t.Context(), pool, func(tx *pg.Tx) error {
				tx.AfterCommit(func() { log = append(log, "committed") })
				return mixed(t.Context(), tx, &log)
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(of.want, noted.all); diff != "" {
				t.Errorf("round trips (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"0 before", "2 after", "UPDATE 3", "committed"}, log); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			got := pgtest.Column[string](t, pool, `SELECT name FROM thing ORDER BY name`)
			if diff := cmp.Diff([]string{"a!", "b!", "c!", "e", "f", "g"}, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// mixed reads and writes, now and later.
func mixed(ctx context.Context, tx *pg.Tx, log *[]string) error {
	for _, when := range []string{"before", "after"} {
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM thing`).Scan(&n); err != nil {
			return err
		}
		*log = append(*log, fmt.Sprint(n, " ", when))
		if when == "before" {
			addLater(tx, "a")
			addLater(tx, "b")
		}
	}
	addLater(tx, "c")
	b := &pgx.Batch{}
	b.Queue(`UPDATE thing SET name = name || '!'`).Exec(func(tag pgconn.CommandTag) error {
		*log = append(*log, tag.String())
		return nil
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	addLater(tx, "d")
	if _, err := tx.Exec(ctx, `DELETE FROM thing WHERE name = 'd'`); err != nil {
		return err
	}
	addLater(tx, "d")
	if tag, err := tx.Exec(ctx, `DELETE FROM thing WHERE name = $1`, "d"); err != nil || tag.RowsAffected() != 1 {
		return fmt.Errorf("%s: %w", tag, err)
	}
	for _, last := range []string{"e", "f", "g"} {
		addLater(tx, last)
	}
	return nil
}

// failures are what may be wrong with a statement that is sent later, and how that is told.
var failures = map[string]struct {
	leave func(tx *pg.Tx)
	told  func(error) bool
}{
	"by the server": {
		func(tx *pg.Tx) {
			_, _ = tx.Later().Exec(context.Background(), `INSERT INTO thing SELECT 1/length($1)`, "")
		},
		func(err error) bool {
			refusal, ok := errors.AsType[*pgconn.PgError](err)
			return ok && refusal.Code == "22012" && strings.Contains(err.Error(), "INSERT INTO thing: ")
		},
	},
	"before it is sent": {
		func(tx *pg.Tx) { addLater(tx, struct{}{}) },
		func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "INSERT INTO thing: ") && strings.Contains(err.Error(), "encode")
		},
	},
	"by its function": {
		func(tx *pg.Tx) {
			b := &pgx.Batch{}
			b.Queue(`INSERT INTO thing SELECT 'x'`).Exec(func(tag pgconn.CommandTag) error {
				return fmt.Errorf("%s: %w", tag, pgx.ErrTooManyRows)
			})
			tx.Later().Batch(b)
		},
		func(err error) bool {
			return errors.Is(err, pgx.ErrTooManyRows) && strings.Contains(err.Error(), "INSERT 0 1")
		},
	},
}

// meetings are what may be told of it first.
var meetings = map[string]func(context.Context, *pg.Tx) error{
	"by Exec": func(ctx context.Context, tx *pg.Tx) error { return add(ctx, tx, "z") },
	"by Query": func(ctx context.Context, tx *pg.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT name FROM thing`)
		_, err := pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	},
	"by QueryRow": func(ctx context.Context, tx *pg.Tx) error {
		var n int
		return tx.QueryRow(ctx, `SELECT count(*) FROM thing`).Scan(&n)
	},
	"by SendBatch": func(ctx context.Context, tx *pg.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`SELECT 1`).Query(func(pgx.Rows) error { panic("the function of another one ran") })
		return tx.SendBatch(ctx, b).Close()
	},
	"by Savepoint": func(ctx context.Context, tx *pg.Tx) error {
		return tx.Savepoint(ctx, func(*pg.Tx) error { panic("the part began") })
	},
	"by Exec without arguments": func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM thing; DELETE FROM thing`)
		return err
	},
	"by CopyFrom": func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"thing"}, []string{"name"}, pgx.CopyFromRows([][]any{{"z"}}))
		return err
	},
	"by Prepare": func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Prepare(ctx, "", `SELECT 1`)
		return err
	},
	"by nobody": nil,
}

// What fails undoes all, whoever is told of it, and however little he makes of it.
func TestLater_ThatFailsUndoesTheTransaction(t *testing.T) {
	t.Parallel()
	for name, failure := range failures {
		for met, meet := range meetings {
			t.Run(name+", met "+met, func(t *testing.T) {
				t.Parallel()
				each(t, func(t *testing.T, in inTx, pool *pgxpool.Pool) {
					err := in(t.Context(), pool, func(tx *pg.Tx) error {
						tx.AfterCommit(func() { t.Error("AfterCommit ran") })
						tx.AfterUnknown(func() { t.Error("AfterUnknown ran") })
						addLater(tx, "a")
						failure.leave(tx)
						addLater(tx, "b")
						if meet == nil {
							return nil
						}
						if err := meet(t.Context(), tx); !failure.told(err) {
							t.Errorf("%s: got error %v", met, err)
						}
						return nil
					})
					if !failure.told(err) || errors.Is(err, pg.ErrCommitUnknown) {
						t.Errorf("got error %v", err)
					}
					if got := count(t, pool); got != 0 {
						t.Errorf("got %d rows, want 0", got)
					}
				})
			})
		}
	}
}

func TestLater_BelongsToItsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, in inTx, pool *pgxpool.Pool) {
		refusal := errors.New("no stock")
		err := in(t.Context(), pool, func(tx *pg.Tx) error {
			addLater(tx, "before")
			for _, fail := range []error{nil, refusal} {
				err := tx.Savepoint(t.Context(), func(tx *pg.Tx) error {
					addLater(tx, "within")
					return fail
				})
				if err != fail {
					t.Errorf("got error %v, want %v", err, fail)
				}
			}
			err := tx.Savepoint(t.Context(), func(tx *pg.Tx) error {
				addLater(tx, "undone")
				_, err := tx.Later().Exec(t.Context(), `SELECT 1/0`)
				return err
			})
			if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "22012" {
				t.Errorf("got error %v, want that of a division by zero", err)
			}
			addLater(tx, "after")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := pgtest.Column[string](t, pool, `SELECT name FROM thing ORDER BY name`)
		if diff := cmp.Diff([]string{"after", "before", "within"}, got); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

func TestLater_GivesNoAnswerThatCouldBeMisread(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, in inTx, pool *pgxpool.Pool) {
		err := in(t.Context(), pool, func(tx *pg.Tx) error {
			if _, err := tx.Later().Exec(t.Context(), "-- name: Rename :execrows\nUPDATE thing SET name = 'b'"); err == nil {
				t.Error("a statement that is asked for its rows was taken")
			}
			tag, err := tx.Later().Exec(t.Context(), "-- name: Add :exec\nINSERT INTO thing SELECT 'a'")
			if tag.String() != "" {
				t.Errorf("a statement that was not sent is said to be done: %s", tag)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, pool); got != 1 {
			t.Errorf("got %d rows, want 1", got)
		}
	})
}

// What is read together with what was held back is read as ever.
func TestLater_LeavesReadingAsItIs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, in inTx, pool *pgxpool.Pool) {
		err := in(t.Context(), pool, func(tx *pg.Tx) error {
			var name string
			if err := tx.QueryRow(t.Context(), `SELECT name FROM thing`).Scan(&name); !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("got error %v, want that there are no rows", err)
			}
			addLater(tx, "a")
			addLater(tx, "b")
			names, err := pgx.CollectRows(must(tx.Later().Query(t.Context(), `SELECT name FROM thing ORDER BY name`)), pgx.RowTo[string])
			if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
				t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
			}
			addLater(tx, "c")
			if err := tx.Later().QueryRow(t.Context(), `SELECT name FROM thing ORDER BY name DESC`).Scan(&name); name != "c" || err != nil {
				t.Errorf("got %s, %v; want c", name, err)
			}
			addLater(tx, "d")
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT name FROM thing`).Scan(&n); err == nil {
				t.Error("a name was read as a number")
			}
			addLater(tx, "e")
			rows := must(tx.Query(t.Context(), `SELECT name FROM thing`))
			if !rows.Next() {
				t.Error("got no row")
			}
			rows.Close()
			addLater(tx, "f")
			return tx.Conn().QueryRow(t.Context(), `SELECT count(*) FROM thing`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, pool); got != 6 {
			t.Errorf("got %d rows, want 6", got)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestInTx_ThatSaysNothingOrCannotBegin(t *testing.T) {
	t.Parallel()
	each(t, saysNothingOrCannotBegin)
}

func saysNothingOrCannotBegin(t *testing.T, in inTx, pool *pgxpool.Pool) {
	ran := false
	err := in(t.Context(), pool, func(tx *pg.Tx) error {
		tx.AfterCommit(func() { ran = true })
		return nil
	})
	if err != nil || !ran {
		t.Errorf("of nothing: got %v, AfterCommit ran: %v", err, ran)
	}
	refusal := errors.New("no stock")
	if err := in(t.Context(), pool, func(*pg.Tx) error { return refusal }); err != refusal {
		t.Errorf("got error %v, want the function's own", err)
	}
	err = in(t.Context(), pool, func(tx *pg.Tx) error { return add(t.Context(), tx, "a") })
	if err != nil || count(t, pool) != 1 {
		t.Errorf("of one that begins with a write: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = in(ctx, pool, func(tx *pg.Tx) error {
		cancel()
		return add(ctx, tx, "b")
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, pg.ErrCommitUnknown) || count(t, pool) != 1 {
		t.Errorf("of a caller who gave up: got error %v", err)
	}
	err = in(t.Context(), pool, func(tx *pg.Tx) error {
		_, err := tx.Query(t.Context(), `SELECT nothing FROM thing`)
		refusal, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || refusal.Code != "42703" {
			t.Errorf("got error %v, want that there is no such column", err)
		}
		return nil
	})
	if err == nil {
		t.Error("a transaction that could not begin was committed")
	}
}
