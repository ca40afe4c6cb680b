package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/failpoint"
)

const (
	commitLimit   = 30 * time.Second
	rollbackLimit = 5 * time.Second
)

// ErrCommitUnknown says that COMMIT was sent and its outcome is not known: the transaction may have happened or not,
// and may not survive a failover. It has to be looked up; it is not a failure.
var ErrCommitUnknown = errors.New("outcome of the commit is unknown")

// ErrNotReplicated is an ErrCommitUnknown of which the server said that the transaction did happen, and that no
// synchronous standby has it: a failover loses it. Finding its rows proves nothing.
var ErrNotReplicated = fmt.Errorf("%w: not replicated", ErrCommitUnknown)

var (
	errEndedByInTx = errors.New("pg: the transaction is ended by InTx")
	errNotSent     = errors.New("committing transaction: its connection is closed, or busy with rows that were not closed")
)

// Tx is a transaction that knows what to do after its commit. InTx begins and ends it, Savepoint a part of it.
// Like every pgx.Tx it belongs to one goroutine.
type Tx struct {
	pgx.Tx // nil while unbegun

	unbegun  *pgxpool.Conn // what it begins on, with its first statement
	settings []string      // that it begins with
	waiting  []*pgx.QueuedQuery
	failed   error // to send what was held back

	afterCommit, afterUnknown []func()
}

// AfterCommit has fn run once, after a commit that is known to have happened, by the goroutine that called InTx and
// with the connection already back in its pool. Several run in the order they were given. After a rollback or an
// unknown commit none runs, so nothing may depend on it: it saves time (waking a reader), it does not carry facts.
func (tx *Tx) AfterCommit(fn func()) {
	tx.afterCommit = append(tx.afterCommit, fn)
}

// AfterUnknown has fn run, in the same way, when the outcome of the commit is not known. The transaction may have
// happened, or may yet; what was kept in memory of its rows may be wrong.
func (tx *Tx) AfterUnknown(fn func()) {
	tx.afterUnknown = append(tx.afterUnknown, fn)
}

// Commit always fails: only InTx commits, because only it follows the commit rules.
func (tx *Tx) Commit(context.Context) error { return errEndedByInTx }

// Rollback always fails: return an error to InTx instead.
func (tx *Tx) Rollback(context.Context) error { return errEndedByInTx }

// Savepoint runs fn in a part of the transaction of its own. An error of fn undoes that part, with what it wanted done after
// the commit, is returned unchanged, and leaves the rest of the transaction as it was.
func (tx *Tx) Savepoint(ctx context.Context, fn func(tx *Tx) error) error {
	begun, err := tx.Begin(ctx)
	if err != nil {
		return fmt.Errorf("setting savepoint: %w", err)
	}
	part := &Tx{Tx: begun}
	err = fn(part)
	if err == nil {
		err = part.flush(ctx)
	}
	if err != nil {
		rollback(ctx, begun)
		return err
	}
	if err := begun.Commit(ctx); err != nil {
		return fmt.Errorf("releasing savepoint: %w", err)
	}
	tx.afterCommit, tx.afterUnknown = append(tx.afterCommit, part.afterCommit...), append(tx.afterUnknown, part.afterUnknown...)
	return nil
}

// InTx runs fn in a transaction, which begins together with its first statement, and commits it. An error of fn rolls back and is returned unchanged; a panic rolls
// back too, and so does what was left for later and fails. Once fn has returned nil, and that is done, the caller's
// deadline no longer counts: COMMIT is given 30 s of its own, after which InTx returns ErrCommitUnknown while the COMMIT
// goes on and keeps its connection until it is answered. The package comment says what the errors mean.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(tx *Tx) error) error {
	return inTx(ctx, pool, nil, commitLimit, fn)
}

// InTxByKey is InTx for statements that find each row by a key of it: their plans are made once a connection and kept, and none reads
// all of a table. What joins tables, or looks for rows in any other way, is for InTx: its plan would be kept from when the
// table was small.
func InTxByKey(ctx context.Context, pool *pgxpool.Pool, fn func(tx *Tx) error) error {
	return inTx(ctx, pool, byKey, commitLimit, fn)
}

// PlanByKey has the statements of a session planned as those of InTxByKey are, for as long as it lasts.
func PlanByKey(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off`); err != nil {
		return fmt.Errorf("setting how statements are planned: %w", err)
	}
	return nil
}

var byKey = []string{`SET LOCAL plan_cache_mode = force_generic_plan`, `SET LOCAL enable_seqscan = off`}

func inTx(ctx context.Context, pool *pgxpool.Pool, settings []string, limit time.Duration, fn func(tx *Tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquiring connection: %w", err)
	}
	committing := false
	defer func() {
		if !committing {
			conn.Release() // closes a connection that is still in a transaction, which covers a panic in fn
		}
	}()

	tx := &Tx{unbegun: conn, settings: settings}
	if err = fn(tx); err == nil {
		err = tx.flush(ctx)
	}
	if err != nil {
		rollback(ctx, tx.Tx)
		return err
	}
	committing = true
	failpoint.Hit(failpoint.Inside, "tx", failpoint.Caller())
	if err := commitAndRelease(ctx, conn, tx.Tx, limit); err != nil {
		if errors.Is(err, ErrCommitUnknown) {
			tx.run(tx.afterUnknown)
		}
		return err
	}
	failpoint.Hit(failpoint.Unseen, "tx", failpoint.Caller())
	tx.run(tx.afterCommit)
	return nil
}

func (tx *Tx) run(after []func()) {
	for _, fn := range after {
		fn()
	}
}

// rollback needs no error: when it fails the connection is closed, and the server rolls back by itself. One that never
// began is nil.
func rollback(ctx context.Context, tx pgx.Tx) {
	if tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackLimit)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// commitAndRelease owns conn. The limit is on the waiting, not on the COMMIT: ending its context would make pgx send
// the server a cancel request, and a server that waits for its standby would then expose the unreplicated row.
func commitAndRelease(ctx context.Context, conn *pgxpool.Conn, tx pgx.Tx, limit time.Duration) error {
	outcome := make(chan error, 1)
	go func() {
		err := commit(context.WithoutCancel(ctx), tx)
		conn.Release()
		outcome <- err
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-outcome:
		return err
	case <-timer.C:
		return fmt.Errorf("%w: no answer to COMMIT within %v", ErrCommitUnknown, limit)
	}
}

func commit(ctx context.Context, tx pgx.Tx) error {
	session := tx.Conn().PgConn()
	if session.IsClosed() || session.IsBusy() {
		return errNotSent
	}
	noted := session.CustomData()
	delete(noted, unreplicatedCommit)
	err := tx.Commit(ctx)
	switch {
	case err != nil && didNotCommit(err):
		return fmt.Errorf("committing transaction: %w", err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	case noted[unreplicatedCommit] != nil:
		return fmt.Errorf("%w: %s", ErrNotReplicated, noted[unreplicatedCommit])
	}
	return nil
}

// didNotCommit reports whether err proves that the transaction did not happen: the server answered COMMIT with
// ROLLBACK or with an ERROR. A server that has written its commit record answers no ERROR any more, it ends the
// connection with FATAL or PANIC. Poolers and proxies in between say with class 08 or 40003 that they do not know.
// pgconn.SafeToRetry proves nothing here: pgx also says it of a connection that broke after COMMIT was sent.
func didNotCommit(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer.SeverityUnlocalized == "ERROR" &&
		answer.Code != "40003" && !strings.HasPrefix(answer.Code, "08")
}

// unreplicatedCommit is the key under which a connection keeps the server's warning about its last COMMIT.
const unreplicatedCommit = "tieout.unreplicated_commit"

// noteUnreplicatedCommit is every connection's notice handler. A COMMIT whose wait for the standby was cancelled by
// somebody else succeeds, and only this warning tells. The text of a message depends on the server's language, the
// name of the function that sent it does not. It runs on the goroutine that reads the answer, so on commit's.
func noteUnreplicatedCommit(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" || strings.Contains(n.Message, "wait for synchronous replication") {
		conn.CustomData()[unreplicatedCommit] = n.Message
	}
}
