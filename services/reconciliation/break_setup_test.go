package reconciliation

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// ledger is a working fake: it takes each key once, and refuses another journal under it. Before and after are asked around
// what takes effect: an error of theirs is the call's.
type ledger struct {
	t             testing.TB
	before, after func(journalOrder) error

	mu     sync.Mutex
	posted map[string]journalOrder
	order  []journalOrder
}

// postJournal implements journalPoster.
func (l *ledger) postJournal(_ context.Context, o journalOrder) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil {
		if err := l.before(o); err != nil {
			return "", err
		}
	}
	if first, again := l.posted[o.key]; again && first != o {
		l.t.Errorf("key %s came with %v, and before with %v", o.key, o, first)
	} else if !again {
		l.posted[o.key], l.order = o, append(l.order, o)
	}
	if l.after != nil {
		if err := l.after(o); err != nil {
			return "", err
		}
	}
	return "jrn of " + o.key, nil
}

// breakFixture is the service without its duty for breaks, which tests do by hand, and the faces of three people.
type breakFixture struct {
	*testing.T
	r        *reconciliation
	db       *pgxpool.Pool
	ledger   *ledger
	ann, bob reconciliationv1.BreakServiceClient
	keys     int
}

func setupBreaks(t *testing.T) *breakFixture {
	t.Helper()
	t.Parallel()
	f := &breakFixture{T: t, ledger: &ledger{t: t, posted: map[string]journalOrder{}}}
	dsn := pgtest.DSN(t, Migrations()...)
	var err error
	if f.db, err = pgxpool.New(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	t.Cleanup(func() { wantWhole(t, f.db, breakViews) })
	process := servicetest.Start(t, service.Service{
		Name: serviceName, Postgres: service.Postgres{DSN: dsn, MaxConns: 6}, Migrations: Migrations(),
		Run: func(_ context.Context, env *service.Env) (err error) {
			if f.r, err = newReconciliation(env, DefaultConfig()); err != nil {
				return err
			}
			f.r.poster = f.ledger
			register(env.GRPC, f.r)
			return nil
		},
	})
	f.ann = reconciliationv1.NewBreakServiceClient(servicetest.Dial(t, process, "ann"))
	f.bob = reconciliationv1.NewBreakServiceClient(servicetest.Dial(t, process, "bob"))
	return f
}

// sees has a watcher see breaks.
func (f *breakFixture) sees(w watcher, vanish bool, all ...sighting) seen {
	f.Helper()
	var s seen
	err := pg.InTx(f.Context(), f.db, func(tx *pg.Tx) (err error) {
		s, err = f.r.sight(f.Context(), tx, w, 1, all, vanish)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// movements makes n open movements of a side, of an amount each, and gives them as a break is about them.
func (f *breakFixture) movements(n int, ours bool, minor int64) []sighted {
	f.Helper()
	f.exec(`INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'GBP') ON CONFLICT DO NOTHING`)
	rows, err := f.db.Query(f.Context(), `
WITH made AS (
    INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day)
    SELECT (SELECT coalesce(max(id), 1::bigint << 32) FROM movement) + n, gen_random_uuid(), (SELECT min(id) FROM partition), $2, 1, $3, '2026-11-02'
      FROM generate_series(1, $1::int) n RETURNING id, key, partition_id
), opened AS (
    INSERT INTO open_movement (movement_id, since_run, partition_id) SELECT id, 0, partition_id FROM made
)
SELECT id, key FROM made ORDER BY id`, n, ours, minor)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	var all []sighted
	for rows.Next() {
		var m sighted
		if err := rows.Scan(&m.id, &m.key); err != nil {
			f.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func (f *breakFixture) exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.db.Exec(f.Context(), sql, args...); err != nil {
		f.Fatal(err)
	}
}

// scan gives what one row has in one column.
func scan[T any](f *breakFixture, sql string, args ...any) T {
	f.Helper()
	var v T
	if err := f.db.QueryRow(f.Context(), sql, args...).Scan(&v); err != nil {
		f.Fatal(err)
	}
	return v
}

var partition7 = watcher{name: "run", scope: "partition/7"}

func gbp(minor int64) money.Amount { return money.Amount{Currency: "GBP", Minor: minor} }

// missing is a break about one movement of ours that has no counterpart.
func (f *breakFixture) missing(minor int64) (sighting, string) {
	f.Helper()
	s := sighting{code: breaks.MissingAtProvider, ours: f.movements(1, true, minor), account: "default", amount: gbp(-minor), orderID: "ord_1"}
	return s, BreakID(s.id()).String()
}

// broken opens a break about one movement of ours, and gives its id.
func (f *breakFixture) broken(minor int64) string {
	f.Helper()
	s, id := f.missing(minor)
	f.sees(partition7, false, s)
	return id
}

// decide has a person decide.
func (f *breakFixture) decide(who reconciliationv1.BreakServiceClient, id string, d *reconciliationv1.BreakDecision) (*reconciliationv1.Break, error) {
	f.Helper()
	f.keys++
	d.Reason = "because"
	answer, err := who.OperateBreak(f.Context(), &reconciliationv1.OperateBreakRequest{
		IdempotencyKey: fmt.Sprintf("decide-%04d", f.keys), BreakId: id, Decision: d,
	})
	return answer.GetBreak(), err
}

// must is decide where it is to be taken.
func (f *breakFixture) must(who reconciliationv1.BreakServiceClient, id string, d *reconciliationv1.BreakDecision) *reconciliationv1.Break {
	f.Helper()
	b, err := f.decide(who, id, d)
	if err != nil {
		f.Fatalf("%s of %s: %v", d.GetVerb(), id, err)
	}
	return b
}

func (f *breakFixture) get(id string) *reconciliationv1.GetBreakResponse {
	f.Helper()
	answer, err := f.ann.GetBreak(f.Context(), &reconciliationv1.GetBreakRequest{BreakId: id})
	if err != nil {
		f.Fatal(err)
	}
	return answer
}

// work does what is due, until there is no more of it.
func (f *breakFixture) work() {
	f.Helper()
	for again := true; again; {
		var err error
		if again, err = f.r.workBreaks(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

func verb(v reconciliationv1.BreakVerb) *reconciliationv1.BreakDecision {
	return &reconciliationv1.BreakDecision{Verb: v}
}

func resolve(how reconciliationv1.BreakResolution) *reconciliationv1.BreakDecision {
	return &reconciliationv1.BreakDecision{Verb: reconciliationv1.BreakVerb_BREAK_VERB_RESOLVE, Resolution: how}
}

const (
	ack, assign, snooze       = reconciliationv1.BreakVerb_BREAK_VERB_ACK, reconciliationv1.BreakVerb_BREAK_VERB_ASSIGN, reconciliationv1.BreakVerb_BREAK_VERB_SNOOZE
	accept, reopen            = reconciliationv1.BreakVerb_BREAK_VERB_ACCEPT, reconciliationv1.BreakVerb_BREAK_VERB_REOPEN
	approve, reject           = reconciliationv1.BreakVerb_BREAK_VERB_APPROVE, reconciliationv1.BreakVerb_BREAK_VERB_REJECT
	writeOff, repost, repair  = reconciliationv1.BreakResolution_BREAK_RESOLUTION_WRITTEN_OFF, reconciliationv1.BreakResolution_BREAK_RESOLUTION_REPOSTED, reconciliationv1.BreakResolution_BREAK_RESOLUTION_REPAIRED
	isOpen, isAcked, isEnding = reconciliationv1.BreakState_BREAK_STATE_OPEN, reconciliationv1.BreakState_BREAK_STATE_ACKNOWLEDGED, reconciliationv1.BreakState_BREAK_STATE_RESOLVING
	isPending, isResolved     = reconciliationv1.BreakState_BREAK_STATE_PENDING_APPROVAL, reconciliationv1.BreakState_BREAK_STATE_RESOLVED
)

// wantState fails where a break is not in a state, by a resolution.
func (f *breakFixture) wantState(id string, state reconciliationv1.BreakState, by reconciliationv1.BreakResolution) *reconciliationv1.GetBreakResponse {
	f.Helper()
	got := f.get(id)
	if got.GetBreak().GetState() != state || got.GetBreak().GetResolution() != by {
		f.Fatalf("%s is %s, %s; want %s, %s\nhistory: %v\njournals: %v", id, got.GetBreak().GetState(), got.GetBreak().GetResolution(), state, by,
			got.GetEvents(), got.GetJournals())
	}
	if n := len(got.GetEvents()); int32(n) != got.GetBreak().GetLastEvent() || n > 0 && got.GetEvents()[n-1].GetNumber() != int32(n) {
		f.Errorf("%s: the last event is %d, and the history has %d", id, got.GetBreak().GetLastEvent(), n)
	}
	return got
}

// legs counts the active legs of the movements of a break, and those of its movements that are open for the next run.
func (f *breakFixture) legs(id string) (active, open int64) {
	f.Helper()
	bid, err := parseBreakID(id)
	if err != nil {
		f.Fatal(err)
	}
	u := bid.UUID()
	return scan[int64](f, `SELECT count(*) FROM match_leg l JOIN break_movement m USING (movement_id) WHERE m.break_id = $1 AND l.active`, u),
		scan[int64](f, `SELECT count(*) FROM open_movement o JOIN break_movement m USING (movement_id) WHERE m.break_id = $1 AND o.until_run IS NULL`, u)
}
