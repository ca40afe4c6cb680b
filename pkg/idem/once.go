package idem

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
)

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
		if !errors.Is(err, groupcommit.ErrAgain) {
			return answer, err
		}
	}
}

// tryOnce is a batch of one in a transaction of its own, but for the use case's refusal: unlike in a batch it may
// come after writes, which are rolled back, and is stored in a second transaction.
func tryOnce[A any](ctx context.Context, pool *pgxpool.Pool, r Request,
	run func(context.Context, *pg.Tx) (A, string, error),
) (A, error) {
	var only groupcommit.Result[Answer[A]]
	err := pg.InTx(ctx, pool, func(tx *pg.Tx) error {
		results, err := OnceAll(ctx, tx, []Request{r}, func(ctx context.Context, tx *pg.Tx, _ []int) ([]Outcome[A], error) {
			answer, resource, err := run(ctx, tx)
			if err != nil {
				return nil, ownError{err}
			}
			return []Outcome[A]{{Answer: answer, Resource: resource}}, nil
		})
		if err == nil {
			only = results[0]
		}
		return err
	})
	if err != nil {
		return only.Value.Value, keepRefusal(ctx, pool, r, err)
	}
	if only.Value.Replayed {
		MarkReplayed(ctx)
	}
	return only.Value.Value, only.Err
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
	stored, ok, err := Outcome[struct{}]{Err: own.error}.record(r)
	if err == nil && ok {
		err = pg.InTx(ctx, pool, func(tx *pg.Tx) error {
			insertAll(tx, []record{stored})
			return nil
		})
	}
	if err != nil {
		return err
	}
	return own.error
}
