package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// ErrClaimLost says that the claim's lease ended and another request resumed the work: what this one would
// have written is not written.
var ErrClaimLost = errors.New("another request resumed the work")

// Claim is the right to work on a request in flight. It ends with Finish or Abandon, or when its lease does.
type Claim[A any] struct {
	// Resource is what the intent made, by id: at the first request, or at the one that is resumed.
	Resource string
	// Resumed is true when an earlier request began and did not finish: what it called may have happened.
	Resumed bool

	pool    *pgxpool.Pool
	request Request
	attempt int32
}

// Begin opens a use case that calls somebody else between two transactions. Intent runs in the first one,
// once per request, and names what it made; it is durable when Begin returns. Its definite refusal ends the
// request as under [Once]. The lease must be longer than the call that follows may take.
//
// When the request was answered before, the claim is nil and the answer (or the stored refusal) is returned.
// While another request under the key is in flight, Begin waits for it up to ctx's end, and then says
// IDEMPOTENCY_KEY_IN_FLIGHT.
func Begin[A any](ctx context.Context, pool *pgxpool.Pool, r Request, lease time.Duration,
	intent func(context.Context, *pg.Tx) (resource string, err error),
) (claim *Claim[A], answer A, err error) {
	waited := false
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		var busy bool
		err = pg.InTx(ctx, pool, func(tx *pg.Tx) (err error) {
			claim, busy, err = take(ctx, tx, r, lease, intent, &answer)
			return err
		})
		err = keepRefusal(ctx, pool, r, err)
		switch {
		case errors.Is(err, groupcommit.ErrAgain):
			continue
		case err != nil && waited && errors.Is(err, ctx.Err()):
			return nil, answer, stillInFlight(r)
		case err != nil:
			return nil, answer, err
		case claim != nil:
			claim.pool = pool
			return claim, answer, nil
		case !busy:
			return nil, answer, nil
		}
		waited = true
		select {
		case <-ctx.Done():
			return nil, answer, stillInFlight(r)
		case <-time.After(wait):
		}
	}
}

// take makes, resumes or replays the request's row; busy says that somebody else is working on it.
func take[A any](ctx context.Context, tx *pg.Tx, r Request, lease time.Duration,
	intent func(context.Context, *pg.Tx) (string, error), answer *A,
) (claim *Claim[A], busy bool, err error) {
	w, found, err := find(ctx, tx, r, true)
	switch {
	case err != nil:
		return nil, false, err
	case !found:
		resource, err := intent(ctx, tx)
		if err != nil {
			return nil, false, ownError{err}
		}
		err = insertAll(ctx, tx, []record{{r, row{fingerprint: r.fingerprint(), state: inFlight, resource: resource}, lease}})
		return &Claim[A]{Resource: resource, request: r, attempt: 1}, false, err
	case w.state != inFlight:
		replayed, refusal, err := w.replay(r, answer)
		if replayed {
			MarkReplayed(ctx)
		}
		if err == nil {
			err = refusal
		}
		return nil, false, err
	}
	if err := w.verdict(r); err != nil || w.leased {
		return nil, w.leased, err
	}
	_, err = tx.Exec(ctx, `
UPDATE idem SET attempt = attempt + 1, lease_until = now() + $4::bigint * interval '1 microsecond'
 WHERE caller = $1 AND method = $2 AND key = $3`, r.Caller, r.Method, r.Key, lease.Microseconds())
	if err != nil {
		return nil, false, fmt.Errorf("resuming idempotency row: %w", err)
	}
	return &Claim[A]{Resource: w.resource, Resumed: true, request: r, attempt: w.attempt + 1}, false, nil
}

// Finish writes the outcome and the answer in one transaction. Write gives the answer, or the definite refusal
// that the request ends with; unlike under Once, what it wrote stays with a refusal too. ErrClaimLost means
// that nothing was written.
func (c *Claim[A]) Finish(ctx context.Context, write func(context.Context, *pg.Tx) (A, *rpcerr.Error, error)) (A, error) {
	var answer A
	var refusal *rpcerr.Error
	err := pg.InTx(ctx, c.pool, func(tx *pg.Tx) (err error) {
		if answer, refusal, err = write(ctx, tx); err != nil {
			return err
		}
		s, stored := done, any(answer)
		if refusal != nil {
			s, stored = refused, refusal
		}
		encoded, err := json.Marshal(stored)
		if err != nil {
			return fmt.Errorf("encoding answer: %w", err)
		}
		return c.end(ctx, tx, `state = $5, answer = $6, lease_until = NULL`, s, encoded)
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	return answer, err
}

// Abandon gives the claim back without an outcome, with what is to be remembered of the attempt; the next
// request resumes at once. ErrClaimLost means that nothing was written.
func (c *Claim[A]) Abandon(ctx context.Context, write func(context.Context, *pg.Tx) error) error {
	return pg.InTx(ctx, c.pool, func(tx *pg.Tx) error {
		if err := write(ctx, tx); err != nil {
			return err
		}
		return c.end(ctx, tx, `lease_until = now()`)
	})
}

// end changes the row if the claim still holds it.
func (c *Claim[A]) end(ctx context.Context, tx *pg.Tx, set string, args ...any) error {
	tag, err := tx.Exec(ctx, `UPDATE idem SET `+set+`
 WHERE caller = $1 AND method = $2 AND key = $3 AND attempt = $4 AND state = 1`,
		append([]any{c.request.Caller, c.request.Method, c.request.Key, c.attempt}, args...)...)
	if err != nil {
		return fmt.Errorf("ending claim: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrClaimLost
	}
	return nil
}
