package idem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/pkg/groupcommit"
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

// name is what tells requests apart.
type name struct{ caller, method, key string }

func (r Request) name() name { return name{r.Caller, r.Method, r.Key} }

func (n name) compare(o name) int {
	return cmp.Or(strings.Compare(n.caller, o.caller), strings.Compare(n.method, o.method), strings.Compare(n.key, o.key))
}

// names are requests' names turned by 90 degrees, for unnest.
func names(requests []Request) (callers, methods, keys []string) {
	for _, r := range requests {
		callers, methods, keys = append(callers, r.Caller), append(methods, r.Method), append(keys, r.Key)
	}
	return callers, methods, keys
}

// OFFSET 0 keeps this one index lookup a name. As a join it would be planned, and the plan kept, while the table is
// small, and would read all of it when it has grown.
const selectRows = `
SELECT n.caller, n.method, n.key, i.fingerprint, i.state, i.answer, i.resource, i.attempt, i.leased, i.expired
  FROM unnest($1::text[], $2::text[], $3::text[]) AS n (caller, method, key)
 CROSS JOIN LATERAL (
       SELECT fingerprint, state, answer, resource, attempt,
              coalesce(lease_until > now(), false) AS leased, coalesce(expires_at <= now(), false) AS expired
         FROM idem WHERE caller = n.caller AND method = n.method AND key = n.key OFFSET 0 %s) AS i`

var (
	readRows = fmt.Sprintf(selectRows, "")
	lockRows = fmt.Sprintf(selectRows, "FOR UPDATE")
)

// findAll reads the rows of requests, as far as there are any; lock holds them to the end of the transaction, in an
// order that is the same for all.
func findAll(ctx context.Context, tx pgx.Tx, requests []Request, lock bool) (map[name]row, error) {
	query := readRows
	if lock {
		query = lockRows
		requests = slices.SortedFunc(slices.Values(requests), func(a, b Request) int { return a.name().compare(b.name()) })
	}
	callers, methods, keys := names(requests)
	found := map[name]row{}
	rows, err := tx.Query(ctx, query, callers, methods, keys)
	if err != nil {
		return nil, fmt.Errorf("reading idempotency rows: %w", err)
	}
	var n name
	var w row
	into := []any{&n.caller, &n.method, &n.key, &w.fingerprint, &w.state, &w.answer, &w.resource, &w.attempt, &w.leased, &w.expired}
	if _, err := pgx.ForEachRow(rows, into, func() error { found[n] = w; return nil }); err != nil {
		return nil, fmt.Errorf("reading idempotency rows: %w", err)
	}
	return found, nil
}

// find is findAll of one.
func find(ctx context.Context, tx pgx.Tx, r Request, lock bool) (row, bool, error) {
	found, err := findAll(ctx, tx, []Request{r}, lock)
	w, ok := found[r.name()]
	return w, ok, err
}

// record is a row to be written.
type record struct {
	request Request
	row     row
	lease   time.Duration // when more than zero
}

const insertRows = `
INSERT INTO idem (caller, method, key, fingerprint, state, answer, resource, lease_until, expires_at)
SELECT caller, method, key, fingerprint, state, answer, resource,
       CASE WHEN lease > 0 THEN now() + lease * interval '1 microsecond' END,
       CASE WHEN ttl > 0 THEN now() + ttl * interval '1 microsecond' END
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::smallint[], $6::bytea[], $7::text[], $8::bigint[], $9::bigint[])
       AS n (caller, method, key, fingerprint, state, answer, resource, lease, ttl)
 ORDER BY caller, method, key
    ON CONFLICT (caller, method, key) DO NOTHING`

// insertAll writes rows, in an order that is the same for all. Groupcommit.ErrAgain says that another transaction was
// first with one of them; then this one is not to be committed.
func insertAll(ctx context.Context, tx pgx.Tx, records []record) error {
	if len(records) == 0 {
		return nil
	}
	var requests []Request
	var fingerprints, answers [][]byte
	var states []int16
	var resources []string
	var leases, ttls []int64
	for _, r := range records {
		requests = append(requests, r.request)
		fingerprints, answers = append(fingerprints, r.row.fingerprint), append(answers, r.row.answer)
		states, resources = append(states, int16(r.row.state)), append(resources, r.row.resource)
		leases, ttls = append(leases, r.lease.Microseconds()), append(ttls, r.request.TTL.Microseconds())
	}
	callers, methods, keys := names(requests)
	tag, err := tx.Exec(ctx, insertRows, callers, methods, keys, fingerprints, states, answers, resources, leases, ttls)
	if err != nil {
		return fmt.Errorf("writing idempotency rows: %w", err)
	}
	if tag.RowsAffected() < int64(len(records)) {
		return fmt.Errorf("writing idempotency rows: %w", groupcommit.ErrAgain)
	}
	return nil
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

// replay gives a finished request's stored answer again, or its stored refusal; replayed is false for an error that
// is neither, but about the request's use of its key. Err is that the row cannot be read.
func (w row) replay(r Request, answer any) (replayed bool, refusal, err error) {
	if err := w.verdict(r); err != nil {
		return false, err, nil
	}
	if w.state == done {
		if err := json.Unmarshal(w.answer, answer); err != nil {
			return false, nil, fmt.Errorf("decoding stored answer: %w", err)
		}
		return true, nil, nil
	}
	stored := &rpcerr.Error{}
	if err := json.Unmarshal(w.answer, stored); err != nil {
		return false, nil, fmt.Errorf("decoding stored refusal: %w", err)
	}
	return true, stored, nil
}

// MarkReplayed tells the client of the gRPC call that ctx belongs to that its answer was given before.
func MarkReplayed(ctx context.Context) {
	// Outside a gRPC handler there is no header to set, which is no error here.
	_ = grpc.SetHeader(ctx, metadata.Pairs("idempotency-replayed", "true"))
}

// unseen is the tombstone of a request that was never seen, and so has no fingerprint.
func unseen(r Request) record {
	return record{request: r, row: row{fingerprint: []byte{}, state: tombstone}}
}

// Bury makes the request's row a tombstone in the transaction of its compensation, so that it is refused for
// ever. It gives the resource that the request had made, and whether the request was ever seen. A request that
// somebody is working on at this moment is not touched: IDEMPOTENCY_KEY_IN_FLIGHT.
func Bury(ctx context.Context, tx *pg.Tx, r Request) (resource string, seen bool, err error) {
	err = insertAll(ctx, tx, []record{unseen(r)})
	if !errors.Is(err, groupcommit.ErrAgain) {
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
		return w.resource, len(w.fingerprint) > 0, nil
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
