package idem

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	claim       uuid.UUID // zero when it was given back, or there never was one
	leased      bool      // in flight, and the lease has not ended
	expired     bool
	epoch       int64
	replays     int64 // of a row to be written
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

func epochs(requests []Request) []int64 {
	all := make([]int64, len(requests))
	for i, r := range requests {
		all[i] = r.Epoch
	}
	return all
}

// OFFSET 0 keeps this one index lookup a name. As a join it would be planned, and the plan kept, while the table is
// small, and would read all of it when it has grown.
const selectRows = `
SELECT n.caller, n.method, n.key, i.fingerprint, i.state, i.answer, i.resource, i.attempt, i.claim, i.leased, i.expired,
       i.epoch
  FROM unnest($1::text[], $2::text[], $3::text[]) AS n (caller, method, key)
 CROSS JOIN LATERAL (
       SELECT fingerprint, state, answer, resource, attempt,
              coalesce(claim, '00000000-0000-0000-0000-000000000000') AS claim,
              coalesce(lease_until > now(), false) AS leased, coalesce(expires_at <= now(), false) AS expired, epoch
         FROM idem WHERE caller = n.caller AND method = n.method AND key = n.key OFFSET 0 %s) AS i`

var (
	readRows = fmt.Sprintf(selectRows, "")
	lockRows = fmt.Sprintf(selectRows, "FOR UPDATE")
)

// findAll reads the rows of requests, as far as there are any; lock holds them to the end of the transaction, in an
// order that is the same for all.
func findAll(ctx context.Context, tx *pg.Tx, requests []Request, lock bool) (map[name]row, error) {
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
	into := []any{&n.caller, &n.method, &n.key, &w.fingerprint, &w.state, &w.answer, &w.resource, &w.attempt, &w.claim,
		&w.leased, &w.expired, &w.epoch}
	if _, err := pgx.ForEachRow(rows, into, func() error { found[n] = w; return nil }); err != nil {
		return nil, fmt.Errorf("reading idempotency rows: %w", err)
	}
	return found, nil
}

// record is a row to be written.
type record struct {
	request Request
	row     row
	lease   time.Duration // when more than zero
}

// look reads the rows of requests, as far as there are any. Those that are to be worked on, those whose epoch rises and
// those that are given again, and counted, are held; all who hold rows do so before they lock what the service keeps.
func look(ctx context.Context, tx *pg.Tx, requests []Request, toWorkOn func(i int, w row) bool) (map[name]row, error) {
	known, err := findAll(ctx, tx, requests, false)
	if err != nil {
		return nil, err
	}
	var holding []Request
	for i, r := range requests {
		if w, found := known[r.name()]; found && (r.Epoch > w.epoch || w.answers(r) || toWorkOn(i, w)) {
			holding = append(holding, r)
		}
	}
	if len(holding) == 0 {
		return known, nil
	}
	held, err := hold(ctx, tx, holding)
	maps.Copy(known, held)
	return known, err
}

// hold reads the rows of requests and locks them to the end of the transaction, and raises their epochs to those of
// the requests.
func hold(ctx context.Context, tx *pg.Tx, requests []Request) (map[name]row, error) {
	held, err := findAll(ctx, tx, requests, true)
	if err != nil {
		return nil, err
	}
	rising := slices.DeleteFunc(slices.Clone(requests), func(r Request) bool {
		w, found := held[r.name()]
		return !found || r.Epoch <= w.epoch
	})
	if len(rising) == 0 {
		return held, nil
	}
	callers, methods, keys := names(rising)
	// They are there, so that none is inserted; this way each is found through the primary key, whatever the plan.
	_, err = tx.Later().Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state, epoch)
SELECT caller, method, key, '', $5, max(epoch)
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS n (caller, method, key, epoch)
 GROUP BY caller, method, key
    ON CONFLICT (caller, method, key) DO UPDATE SET epoch = excluded.epoch`, callers, methods, keys, epochs(rising), tombstone)
	if err != nil {
		return nil, fmt.Errorf("raising epochs: %w", err)
	}
	for _, r := range rising {
		w := held[r.name()]
		w.epoch = max(w.epoch, r.Epoch)
		held[r.name()] = w
	}
	return held, nil
}

// countReplays raises the replays of rows that are held, by one for each request that was given what they keep.
func countReplays(ctx context.Context, tx *pg.Tx, requests []Request) error {
	if len(requests) == 0 {
		return nil
	}
	callers, methods, keys := names(requests)
	// As in hold, none is inserted.
	_, err := tx.Later().Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state, replays)
SELECT caller, method, key, '', $4, count(*) FROM unnest($1::text[], $2::text[], $3::text[]) AS n (caller, method, key)
 GROUP BY caller, method, key
    ON CONFLICT (caller, method, key) DO UPDATE SET replays = idem.replays + excluded.replays`, callers, methods, keys, tombstone)
	if err != nil {
		return fmt.Errorf("counting replays: %w", err)
	}
	return nil
}

const insertRows = `
INSERT INTO idem (caller, method, key, epoch, fingerprint, state, answer, resource, replays, claim, lease_until, expires_at)
SELECT caller, method, key, epoch, fingerprint, state, answer, resource, replays,
       CASE WHEN lease > 0 THEN claim END,
       CASE WHEN lease > 0 THEN now() + lease * interval '1 microsecond' END,
       CASE WHEN ttl > 0 THEN now() + ttl * interval '1 microsecond' END
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::smallint[], $7::bytea[], $8::text[],
              $9::bigint[], $10::uuid[], $11::bigint[], $12::bigint[])
       AS n (caller, method, key, epoch, fingerprint, state, answer, resource, replays, claim, lease, ttl)
 ORDER BY caller, method, key
    ON CONFLICT (caller, method, key) DO NOTHING`

// insertAll writes rows, in an order that is the same for all. Groupcommit.ErrAgain, of what sends them, says that another
// transaction was first with one of them; then this one is not committed.
func insertAll(tx *pg.Tx, records []record) {
	if len(records) == 0 {
		return
	}
	var requests []Request
	var fingerprints, answers [][]byte
	var states []int16
	var resources []string
	var claims []uuid.UUID
	var replays, leases, ttls []int64
	for _, r := range records {
		requests = append(requests, r.request)
		fingerprints, answers = append(fingerprints, r.row.fingerprint), append(answers, r.row.answer)
		states, resources = append(states, int16(r.row.state)), append(resources, r.row.resource)
		replays, claims = append(replays, r.row.replays), append(claims, r.row.claim)
		leases, ttls = append(leases, r.lease.Microseconds()), append(ttls, r.request.TTL.Microseconds())
	}
	callers, methods, keys := names(requests)
	b := &pgx.Batch{}
	b.Queue(insertRows, callers, methods, keys, epochs(requests), fingerprints, states, answers, resources, replays, claims, leases, ttls).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() < int64(len(records)) {
				return groupcommit.ErrAgain
			}
			return nil
		})
	tx.Later().Batch(b)
}

// resumeAll writes claims into rows that are held.
func resumeAll(ctx context.Context, tx *pg.Tx, records []record) error {
	if len(records) == 0 {
		return nil
	}
	var requests []Request
	var attempts []int32
	var claims []uuid.UUID
	var leases []int64
	for _, r := range records {
		requests, leases = append(requests, r.request), append(leases, r.lease.Microseconds())
		attempts, claims = append(attempts, r.row.attempt), append(claims, r.row.claim)
	}
	callers, methods, keys := names(requests)
	// As in hold, none is inserted.
	_, err := tx.Later().Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state, attempt, claim, lease_until)
SELECT caller, method, key, '', $7, attempt, claim, now() + lease * interval '1 microsecond'
  FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::uuid[], $6::bigint[])
       AS n (caller, method, key, attempt, claim, lease)
    ON CONFLICT (caller, method, key) DO UPDATE
   SET attempt = excluded.attempt, claim = excluded.claim, lease_until = excluded.lease_until`,
		callers, methods, keys, attempts, claims, leases, inFlight)
	if err != nil {
		return fmt.Errorf("resuming idempotency rows: %w", err)
	}
	return nil
}

// endRows writes how requests in flight end into rows that are held. Those that stay in flight are given back.
func endRows(ctx context.Context, tx *pg.Tx, records []record) error {
	if len(records) == 0 {
		return nil
	}
	var requests []Request
	var states []int16
	var answers [][]byte
	for _, r := range records {
		requests = append(requests, r.request)
		states, answers = append(states, int16(r.row.state)), append(answers, r.row.answer)
	}
	callers, methods, keys := names(requests)
	// As in hold, none is inserted.
	_, err := tx.Later().Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state, answer, lease_until)
SELECT caller, method, key, '', state, answer, CASE WHEN state = $6 THEN now() END
  FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bytea[]) AS n (caller, method, key, state, answer)
    ON CONFLICT (caller, method, key) DO UPDATE
   SET state = excluded.state, answer = excluded.answer, lease_until = excluded.lease_until,
       claim = CASE WHEN excluded.state = $6 THEN NULL ELSE idem.claim END`,
		callers, methods, keys, states, answers, inFlight)
	if err != nil {
		return fmt.Errorf("ending claims: %w", err)
	}
	return nil
}

// stale is the error of a request that comes from an owner who has been followed by another one.
func (w row) stale(r Request) error {
	if r.Epoch == 0 || r.Epoch >= w.epoch {
		return nil
	}
	return rpcerr.New(rpcerr.EpochStale, "%s under this key was sent with epoch %d and is refused with epoch %d", r.Method, w.epoch, r.Epoch)
}

// verdict is the error that a row means for a request that names it, whatever state it is in.
func (w row) verdict(r Request) error {
	if err := w.stale(r); err != nil {
		return err
	}
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

// answers tells whether a request is given what the row keeps: its answer, or its refusal.
func (w row) answers(r Request) bool {
	return (w.state == done || w.state == refused) && w.verdict(r) == nil
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

// InFlight is the error of a request that waits for another one: the first under its key, or the step it undoes.
func InFlight(method string) *rpcerr.Error {
	e := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "the first %s under this key has not finished", method)
	e.RetryAfter = 200 * time.Millisecond
	return e
}
