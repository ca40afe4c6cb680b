package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// errTaken says that another transaction wrote the request's row first.
var errTaken = errors.New("idempotency key taken meanwhile")

// Once runs a use case that is one transaction, once per request. Run's answer is stored with the effect, and
// given again to every later request; so is a definite refusal (an rpcerr.Error that says so), whose
// transaction is rolled back. Any other error stores nothing: the next request runs again. Run also names the
// resource it made, which is told for a key that is past its time; it may be empty.
//
// Answers are stored as JSON: A must survive json.Marshal and back.
func Once[A any](ctx context.Context, pool *pgxpool.Pool, r Request,
	run func(context.Context, *pg.Tx) (answer A, resource string, err error),
) (A, error) {
	for {
		answer, err := tryOnce(ctx, pool, r, run)
		if !errors.Is(err, errTaken) {
			return answer, err
		}
	}
}

func tryOnce[A any](ctx context.Context, pool *pgxpool.Pool, r Request,
	run func(context.Context, *pg.Tx) (A, string, error),
) (answer A, err error) {
	err = pg.InTx(ctx, pool, func(tx *pg.Tx) error {
		w, found, err := find(ctx, tx, r, false)
		if err != nil {
			return err
		}
		if found {
			return w.replay(ctx, r, &answer)
		}
		var resource string
		if answer, resource, err = run(ctx, tx); err != nil {
			return ownError{err}
		}
		return store(ctx, tx, r, done, answer, resource)
	})
	return answer, keepRefusal(ctx, pool, r, err)
}

// ownError marks an error of the use case itself, as against what its request's row says.
type ownError struct{ error }

// keepRefusal stores the definite refusal of a use case, whose transaction was rolled back, in one of its own. It
// gives the use case's error back, and any other as it is.
func keepRefusal(ctx context.Context, pool *pgxpool.Pool, r Request, err error) error {
	own, ok := errors.AsType[ownError](err)
	if !ok {
		return err
	}
	refusal, ok := errors.AsType[*rpcerr.Error](own.error)
	if !ok || !refusal.Definite() {
		return own.error
	}
	storing := pg.InTx(ctx, pool, func(tx *pg.Tx) error { return store(ctx, tx, r, refused, refusal, "") })
	if storing != nil {
		return storing
	}
	return own.error
}

func store(ctx context.Context, tx *pg.Tx, r Request, s state, answer any, resource string) error {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	inserted, err := insert(ctx, tx, r, row{fingerprint: r.fingerprint(), state: s, answer: encoded, resource: resource}, 0)
	if err == nil && !inserted {
		return errTaken
	}
	return err
}
