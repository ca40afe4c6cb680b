package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

type state int16

const (
	inFlight  state = 1
	done      state = 2
	refused   state = 3
	tombstone state = 4
)

// row is a request's row as it was read.
type row struct {
	fingerprint []byte
	state       state
	answer      []byte
	resource    string
	attempt     int32
	leased      bool // in flight, and the lease has not ended
	expired     bool
}

const selectRow = `
SELECT fingerprint, state, answer, resource, attempt,
       coalesce(lease_until > now(), false), coalesce(expires_at <= now(), false)
  FROM idem WHERE caller = $1 AND method = $2 AND key = $3`

// find reads the row of a request; lock holds it to the end of the transaction.
func find(ctx context.Context, tx pgx.Tx, r Request, lock bool) (row, bool, error) {
	query := selectRow
	if lock {
		query += " FOR UPDATE"
	}
	var w row
	err := tx.QueryRow(ctx, query, r.Caller, r.Method, r.Key).
		Scan(&w.fingerprint, &w.state, &w.answer, &w.resource, &w.attempt, &w.leased, &w.expired)
	if errors.Is(err, pgx.ErrNoRows) {
		return row{}, false, nil
	}
	if err != nil {
		return row{}, false, fmt.Errorf("reading idempotency row: %w", err)
	}
	return w, true, nil
}

// insert writes the row of a request; false when there is one already.
func insert(ctx context.Context, tx pgx.Tx, r Request, w row, lease time.Duration) (bool, error) {
	tag, err := tx.Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state, answer, resource, lease_until, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7,
        CASE WHEN $8::bigint > 0 THEN now() + $8 * interval '1 microsecond' END,
        CASE WHEN $9::bigint > 0 THEN now() + $9 * interval '1 microsecond' END)
ON CONFLICT (caller, method, key) DO NOTHING`,
		r.Caller, r.Method, r.Key, w.fingerprint, w.state, w.answer, w.resource, lease.Microseconds(), r.TTL.Microseconds())
	if err != nil {
		return false, fmt.Errorf("writing idempotency row: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// verdict is the error that a row means for a request that names it, whatever state it is in.
func (w row) verdict(r Request) error {
	if w.state == tombstone {
		return rpcerr.New(rpcerr.StepTombstoned, "%s under this key was compensated and is never executed again", r.Method)
	}
	if fields := r.differing(w.fingerprint); len(fields) > 0 {
		return r.reused(fields)
	}
	if w.expired {
		e := rpcerr.New(rpcerr.IdempotencyKeyExpired, "idempotency_key is past its time and is never executed again")
		e.Resource = w.resource
		return e
	}
	return nil
}

// replay gives a finished request's stored answer or refusal again, and tells the client so.
func (w row) replay(ctx context.Context, r Request, answer any) error {
	if err := w.verdict(r); err != nil {
		return err
	}
	// Outside a gRPC handler there is no header to set, which is no error here.
	_ = grpc.SetHeader(ctx, metadata.Pairs("idempotency-replayed", "true"))
	if w.state == done {
		if err := json.Unmarshal(w.answer, answer); err != nil {
			return fmt.Errorf("decoding stored answer: %w", err)
		}
		return nil
	}
	refusal := &rpcerr.Error{}
	if err := json.Unmarshal(w.answer, refusal); err != nil {
		return fmt.Errorf("decoding stored refusal: %w", err)
	}
	return refusal
}

// Bury makes the request's row a tombstone in the transaction of its compensation, so that it is refused for
// ever. It gives the resource that the request had made, and whether the request was ever seen. A request that
// somebody is working on at this moment is not touched: IDEMPOTENCY_KEY_IN_FLIGHT.
func Bury(ctx context.Context, tx *pg.Tx, r Request) (resource string, seen bool, err error) {
	inserted, err := insert(ctx, tx, r, row{fingerprint: []byte{}, state: tombstone}, 0)
	if err != nil || inserted {
		return "", false, err
	}
	w, _, err := find(ctx, tx, r, true)
	if err != nil {
		return "", false, err
	}
	if w.state == inFlight && w.leased {
		return "", false, stillInFlight(r)
	}
	if w.state == tombstone {
		return w.resource, len(w.fingerprint) > 0, nil // one that was never seen has no fingerprint
	}
	_, err = tx.Exec(ctx, `UPDATE idem SET state = $4, lease_until = NULL WHERE caller = $1 AND method = $2 AND key = $3`,
		r.Caller, r.Method, r.Key, tombstone)
	if err != nil {
		return "", false, fmt.Errorf("burying idempotency row: %w", err)
	}
	return w.resource, true, nil
}

func stillInFlight(r Request) *rpcerr.Error {
	e := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "the first %s under this key has not finished", r.Method)
	e.RetryAfter = 200 * time.Millisecond
	return e
}
