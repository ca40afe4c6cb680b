package pg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var errNoAnswerYet = errors.New("pg: the statement is sent later, so that there is no answer to it yet")

// Later takes statements whose answer nobody needs before the next one: they travel with the transaction's next
// statement that is not for later, or by themselves before its commit, in one round trip and in their order. It is what
// sqlc's queries are made of for those that are :exec; what they read, they read at once.
//
// What the server refuses of them is the error of what sends them, at the latest of InTx. Nothing of the
// transaction happens then, also where that error was overlooked. What is refused to one caller, by the name of a
// constraint, is not for later. Arguments are not to be changed any more.
type Later struct{ tx *Tx }

// Later gives what takes statements that are sent later.
func (tx *Tx) Later() Later { return Later{tx} }

// Exec has a statement sent later. It says nothing of what the statement did; one of sqlc's that is asked to is refused.
func (l Later) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if first, _, _ := strings.Cut(sql, "\n"); strings.HasSuffix(first, ":execrows") || strings.HasSuffix(first, ":execresult") {
		return pgconn.CommandTag{}, fmt.Errorf("%s: %w", first, errNoAnswerYet)
	}
	l.tx.waiting = append(l.tx.waiting, &pgx.QueuedQuery{SQL: sql, Arguments: args})
	return pgconn.CommandTag{}, nil
}

// Batch has the statements of a batch sent later. Their functions are given the answers then, and fail the transaction by an error.
func (l Later) Batch(b *pgx.Batch) { l.tx.waiting = append(l.tx.waiting, b.QueuedQueries...) }

// Query is the transaction's.
func (l Later) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return l.tx.Query(ctx, sql, args...)
}

// QueryRow is the transaction's.
func (l Later) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return l.tx.QueryRow(ctx, sql, args...)
}

// holdsBack tells whether there is something to be sent before anything else.
func (tx *Tx) holdsBack() bool { return tx.unbegun != nil || len(tx.waiting) > 0 }

// flush sends what was held back.
func (tx *Tx) flush(ctx context.Context) error {
	if tx.failed == nil && tx.holdsBack() {
		tx.failed = tx.SendBatch(ctx, &pgx.Batch{}).Close()
	}
	return tx.failed
}

// SendBatch implements pgx.Tx. What was held back travels with it.
func (tx *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if tx.failed != nil {
		return pgx.FailedBatchResults(b, tx.failed)
	}
	if !tx.holdsBack() {
		return tx.Tx.SendBatch(ctx, b)
	}
	all := &pgx.Batch{}
	if tx.unbegun != nil {
		all.BeginTx(pgx.TxOptions{})
		for _, setting := range tx.settings {
			all.Queue(setting)
		}
	}
	all.QueuedQueries = append(all.QueuedQueries, tx.waiting...)
	before := all.QueuedQueries
	all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
	results := tx.sendAll(ctx, all)
	for _, q := range before {
		if err := answer(results, q); err != nil {
			tx.failed = blamed(err, q.SQL)
			for _, unanswered := range all.QueuedQueries {
				unanswered.Fn = nil
			}
			_ = results.Close() // the first error is the one that counts
			return pgx.FailedBatchResults(b, tx.failed)
		}
	}
	return results
}

// sendAll sends a batch that has all that was held back, and is what the transaction begins with if it has not begun.
func (tx *Tx) sendAll(ctx context.Context, all *pgx.Batch) pgx.BatchResults {
	tx.waiting = nil
	if tx.unbegun == nil {
		return tx.Tx.SendBatch(ctx, all)
	}
	results := tx.unbegun.SendBatch(ctx, all)
	tx.Tx, tx.unbegun = results.Tx(), nil
	return results
}

// answer reads the answer to a statement that was held back.
func answer(results pgx.BatchResults, q *pgx.QueuedQuery) error {
	if q.Fn != nil {
		return q.Fn(results)
	}
	_, err := results.Exec()
	return err
}

// blamed is an error with the beginning of the statement that it came of.
func blamed(err error, sql string) error {
	if unsent, ok := errors.AsType[pgx.ErrPreprocessingBatch](err); ok {
		sql = unsent.SQL() // it may be another one's
	}
	words := strings.Fields(sql)
	return fmt.Errorf("%s: %w", strings.Join(words[:min(3, len(words))], " "), err)
}

// Exec implements pgx.Tx. What was held back travels with it, unless it has no arguments: then it may be several statements.
func (tx *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if tx.failed != nil || !tx.holdsBack() || len(args) == 0 {
		if err := tx.flush(ctx); err != nil {
			return pgconn.CommandTag{}, err
		}
		return tx.Tx.Exec(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results := tx.SendBatch(ctx, b)
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close())
}

// Query implements pgx.Tx. What was held back travels with it.
func (tx *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if tx.failed == nil && !tx.holdsBack() {
		return tx.Tx.Query(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results := tx.SendBatch(ctx, b)
	rows, err := results.Query()
	if err != nil {
		_ = results.Close() // the first error is the one that counts
		return rows, err
	}
	return &lastRows{Rows: rows, results: results}, nil
}

// QueryRow implements pgx.Tx. What was held back travels with it.
func (tx *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if tx.failed == nil && !tx.holdsBack() {
		return tx.Tx.QueryRow(ctx, sql, args...)
	}
	rows, err := tx.Query(ctx, sql, args...)
	return onlyRow{rows, err}
}

// CopyFrom implements pgx.Tx.
func (tx *Tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := tx.flush(ctx); err != nil {
		return 0, err
	}
	return tx.Tx.CopyFrom(ctx, table, columns, rows)
}

// Prepare implements pgx.Tx.
func (tx *Tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := tx.flush(ctx); err != nil {
		return nil, err
	}
	return tx.Tx.Prepare(ctx, name, sql)
}

// Begin implements pgx.Tx.
func (tx *Tx) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := tx.flush(ctx); err != nil {
		return nil, err
	}
	return tx.Tx.Begin(ctx)
}

// Conn implements pgx.Tx. What was held back is sent first; when that fails, so does the transaction.
func (tx *Tx) Conn() *pgx.Conn {
	ctx, cancel := context.WithTimeout(context.Background(), commitLimit)
	defer cancel()
	_ = tx.flush(ctx)
	return tx.Tx.Conn()
}

// lastRows are the rows of a statement that others travelled with: when they are read, so is all.
type lastRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

// Next implements pgx.Rows.
func (r *lastRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close implements pgx.Rows.
func (r *lastRows) Close() {
	r.Rows.Close()
	r.err = cmp.Or(r.err, r.results.Close())
}

// Err implements pgx.Rows.
func (r *lastRows) Err() error { return cmp.Or(r.Rows.Err(), r.err) }

// onlyRow is the first of rows, or the error that there are none.
type onlyRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements pgx.Row.
func (r onlyRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), pgx.ErrNoRows)
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
