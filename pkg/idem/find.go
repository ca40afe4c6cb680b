package idem

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// State is where a request stands.
type State int16

// The states. Expired is one in which no row is stored: it is past its time, whatever came of it, unless it was undone.
const (
	StateInFlight  = State(inFlight)
	StateDone      = State(done)
	StateRefused   = State(refused)
	StateTombstone = State(tombstone)
	StateExpired   = StateTombstone + 1
)

// Record is a request as people look into it.
type Record struct {
	Caller, Method, Key string
	State               State
	// Resource is what was made, by id; empty for none.
	Resource string
	// FieldDigests are the first eight bytes of the SHA-256 of the fields' values, in the order in which the method
	// declares them. There are none for a request that was undone before it was seen.
	FieldDigests [][fieldDigestSize]byte
	// Attempts is how often work on it was begun.
	Attempts int
	// Replays is how often its answer, or its refusal, was given again.
	Replays int64
	// Claim is who works on it, or was the last to do so: the token of the opening. Zero when that one gave it back, or
	// when nobody else is called for it.
	Claim uuid.UUID
	// LeaseUntil is when the claim of a request in flight ends, or ended; zero for none.
	LeaseUntil time.Time
	// Epoch is the highest fencing number that it was sent with; zero for none.
	Epoch     int64
	CreatedAt time.Time
	// ExpiresAt is from when its key is refused; zero for never.
	ExpiresAt time.Time
	// Refusal is what it was refused with for good; nil when it was not.
	Refusal *rpcerr.Error
}

// The table is ordered by (caller, method, key), so that a key alone is no prefix of its index. But callers and methods
// are few, whatever the number of rows: the recursion steps from each pair of them to the next, one descent of the
// index a pair, and under each pair the key is one more. An index on the key would be paid for by every request.
const findRows = `
WITH RECURSIVE pair AS (
      (SELECT caller, method FROM idem ORDER BY caller, method LIMIT 1)
       UNION ALL
      SELECT n.caller, n.method
        FROM pair
       CROSS JOIN LATERAL (SELECT caller, method FROM idem WHERE (caller, method) > (pair.caller, pair.method)
                            ORDER BY caller, method LIMIT 1) AS n)
SELECT i.caller, i.method, i.key, i.fingerprint, i.state, i.answer, i.resource, i.attempt, i.replays, i.claim,
       CASE WHEN i.state = $2 AND i.claim IS NOT NULL THEN i.lease_until END,
       i.epoch, i.created_at, i.expires_at, coalesce(i.expires_at <= now(), false)
  FROM pair
 CROSS JOIN LATERAL (
       SELECT caller, method, key, fingerprint, state, answer, resource, attempt, replays, claim, lease_until, epoch,
              created_at, expires_at
         FROM idem WHERE caller = pair.caller AND method = pair.method AND key = ANY ($1) OFFSET 0) AS i
 ORDER BY i.key, i.caller, i.method`

// Find gives what is known of keys: a record for each caller and method that used one, by key, caller and method.
func Find(ctx context.Context, db *pgxpool.Pool, keys ...string) ([]Record, error) {
	rows, err := db.Query(ctx, findRows, keys, inFlight)
	if err != nil {
		return nil, fmt.Errorf("reading idempotency rows: %w", err)
	}
	records, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("reading idempotency rows: %w", err)
	}
	return records, nil
}

func scanRecord(scanned pgx.CollectableRow) (Record, error) {
	var r Record
	var fingerprint, answer []byte
	var claim *uuid.UUID
	var leaseUntil, expiresAt *time.Time
	var expired bool
	err := scanned.Scan(&r.Caller, &r.Method, &r.Key, &fingerprint, &r.State, &answer, &r.Resource, &r.Attempts, &r.Replays, &claim,
		&leaseUntil, &r.Epoch, &r.CreatedAt, &expiresAt, &expired)
	if err != nil {
		return r, err
	}
	r.FieldDigests = fieldDigests(fingerprint)
	r.Claim, r.LeaseUntil, r.ExpiresAt = orZero(claim), orZero(leaseUntil), orZero(expiresAt)
	if r.State == StateRefused {
		r.Refusal = &rpcerr.Error{}
		if err := json.Unmarshal(answer, r.Refusal); err != nil {
			return r, fmt.Errorf("decoding stored refusal of %s by %s: %w", r.Method, r.Caller, err)
		}
	}
	if expired && r.State != StateTombstone {
		r.State = StateExpired
	}
	return r, nil
}

// fieldDigests are the digests of the fields' values that a fingerprint ends with.
func fieldDigests(fingerprint []byte) [][fieldDigestSize]byte {
	var digests [][fieldDigestSize]byte
	for at := sha256.Size; at+fieldDigestSize <= len(fingerprint); at += fieldDigestSize {
		digests = append(digests, [fieldDigestSize]byte(fingerprint[at:]))
	}
	return digests
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
