package reconciliation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// asOf is the day of runs in tests where it does not matter.
const asOf = "2026-11-30"

// mv is a movement of a test. What is not said is of account "default" in EUR at the provider, a charge of 2026-11-10.
type mv struct {
	id, key, ref, payout, payment, note string // id is the provider's
	was                                 string // what it was before it was converted: "100.00 USD"
	amount, fee                         int64
	day, currency, account              string
	kind                                match.Kind
	standing                            match.Standing
	ours, bank                          bool
}

// keyOfMv names the movement by what it is.
func (m mv) keyOfMv() uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%v", m))
}

type runFixture struct {
	testing.TB
	dsn            string
	db             *pgxpool.Pool
	reconciliation *reconciliation
	stop           func()
	client         reconciliationv1.ReconciliationServiceClient
	breaks         reconciliationv1.BreakServiceClient
	keys           int
	config         Config
	patience       time.Duration // how long a run may take
	tampered       bool          // the test has changed what the service wrote
}

// setupRuns starts the service on a database of its own. Runs are written in pieces of three matches.
func setupRuns(t testing.TB, change ...func(*Config)) *runFixture {
	t.Helper()
	f := &runFixture{TB: t, dsn: pgtest.DSN(t, Migrations()...), config: DefaultConfig(), patience: time.Minute}
	for _, c := range change {
		c(&f.config)
	}
	var err error
	if f.db, err = pgxpool.New(t.Context(), f.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	t.Cleanup(func() {
		if !f.tampered {
			wantWhole(t, f.db, breakViews)
		}
	})
	f.start()
	return f
}

// start starts a process of the service, that stop stops.
func (f *runFixture) start() {
	f.Helper()
	cfg := servicetest.Config()
	cfg.NATS.URL, cfg.AuditEvery = bustest.Server(f).URL(), time.Hour // movements of these tests are in no events
	process, err := service.Start(f.Context(), cfg, f.Output(), service.Service{
		Name: "reconciliation", Postgres: service.Postgres{DSN: f.dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(ctx context.Context, env *service.Env) (err error) {
			f.reconciliation, err = wire(ctx, env, f.config)
			if err == nil {
				f.reconciliation.runner.pieceSize = 3
			}
			return err
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.stop = sync.OnceFunc(func() {
		if err := process.Stop(); err != nil {
			f.Errorf("stopping: %v", err)
		}
	})
	f.Cleanup(f.stop)
	conn := servicetest.Dial(f, process, "op")
	f.client, f.breaks = reconciliationv1.NewReconciliationServiceClient(conn), reconciliationv1.NewBreakServiceClient(conn)
}

// deliver has movements come in together, as an accepted delivery.
func (f *runFixture) deliver(all ...mv) (delivery int32) {
	f.Helper()
	if err := pgx.BeginFunc(f.Context(), f.db, func(tx pgx.Tx) error {
		if err := tx.QueryRow(f.Context(), `INSERT INTO delivery (kind, state, rows) VALUES (3, 1, $1) RETURNING id`, len(all)).Scan(&delivery); err != nil {
			return err
		}
		for i, m := range all {
			if err := insertMv(f.Context(), tx, delivery, int32(i+1), m); err != nil {
				return fmt.Errorf("%+v: %w", m, err)
			}
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	return delivery
}

func insertMv(ctx context.Context, tx pgx.Tx, delivery, place int32, m mv) error {
	at := stageProvider
	if m.bank {
		at = stageBank
	}
	kind := m.kind
	if kind == 0 {
		kind = match.KindCharge
	}
	var originalMinor *int64
	var originalCurrency *string
	if decimal, currency, is := strings.Cut(m.was, " "); is {
		was, err := money.Parse(decimal, money.Currency(currency))
		if err != nil {
			return err
		}
		originalMinor, originalCurrency = &was.Minor, &currency
	}
	_, err := tx.Exec(ctx, `
WITH p AS (INSERT INTO partition (stage, account, currency) VALUES ($1, $2, $3)
           ON CONFLICT (stage, account, currency) DO UPDATE SET stage = excluded.stage RETURNING id)
INSERT INTO movement (id, key, partition_id, ours, kind, standing, amount_minor, fee_minor, day, line, provider_id, idem_key, reference,
                      payout_id, payment_id, note, original_minor, original_currency)
SELECT $4, $5, id, $6, $7, $8, $9, $10, $11::text::date, $12, $13, $14, $15, $16, $17, $18, $19, $20 FROM p`,
		int16(at), or(m.account, "default"), or(m.currency, "EUR"), movementID(delivery, place), m.keyOfMv(), m.ours, int16(kind), int16(m.standing),
		m.amount, m.fee, or(m.day, "2026-11-10"), place, m.id, m.key, m.ref, m.payout, m.payment, m.note, originalMinor, originalCurrency)
	return err
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// begin begins a run.
func (f *runFixture) begin(asOf string) (*reconciliationv1.Run, error) {
	f.Helper()
	f.keys++
	answer, err := f.client.RunReconciliation(f.Context(), &reconciliationv1.RunReconciliationRequest{
		IdempotencyKey: fmt.Sprintf("run-%06d-%s", f.keys, uuid.NewString()), AsOf: asOf,
	})
	return answer.GetRun(), err
}

// run runs a reconciliation to its end.
func (f *runFixture) run(asOf string) *reconciliationv1.Run {
	f.Helper()
	begun, err := f.begin(asOf)
	if err != nil {
		f.Fatalf("beginning: %v", err)
	}
	ended := f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	if ended.GetState() != reconciliationv1.RunState_RUN_STATE_FINISHED {
		f.Fatalf("the run is %v", ended)
	}
	return ended
}

// until watches a run until something holds for it.
func (f *runFixture) until(id string, holds func(*reconciliationv1.Run) bool) (last *reconciliationv1.Run) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), f.patience)
	defer cancel()
	stream, err := f.client.WatchRun(ctx, &reconciliationv1.WatchRunRequest{RunId: id})
	for {
		var answer *reconciliationv1.WatchRunResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil {
			f.Fatalf("watching: %v; at last %v", err, last)
		}
		if last = answer.GetRun(); holds(last) {
			return last
		}
	}
}

// breaksOf is what a run found, by code.
func breaksOf(r *reconciliationv1.Run) map[string]int64 {
	found := map[string]int64{}
	for _, c := range r.GetBreaks() {
		found[c.GetCode()] = c.GetCount()
	}
	return found
}

// openKeys gives the keys of the movements that are open.
func (f *runFixture) openNotes() []string {
	f.Helper()
	return pgtest.Column[string](f, f.db, `
SELECT m.note FROM open_movement o JOIN movement m ON m.id = o.movement_id WHERE o.until_run IS NULL ORDER BY m.note COLLATE "C"`)
}

// putRules makes rules active: the default ones with a change.
func (f *runFixture) putRules(change func(*rules.Set)) int32 {
	f.Helper()
	return putRules(f, f.client, change)
}

func putRules(t testing.TB, client reconciliationv1.ReconciliationServiceClient, change func(*rules.Set)) int32 {
	t.Helper()
	set := rules.Default()
	change(&set)
	document, err := set.Document()
	if err != nil {
		t.Fatal(err)
	}
	put, err := client.PutRuleSet(t.Context(), &reconciliationv1.PutRuleSetRequest{IdempotencyKey: "put-" + uuid.NewString(), Document: string(document)})
	if err != nil {
		t.Fatal(err)
	}
	version := put.GetRuleSet().GetVersion()
	_, err = client.ActivateRuleSet(t.Context(), &reconciliationv1.ActivateRuleSetRequest{
		IdempotencyKey: "activate-" + uuid.NewString(), Version: version, Reason: "a test wants it",
	})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// pairs are n movements of ours and of theirs that are the same money, with ids that begin with a prefix.
func pairs(prefix string, n int) (ours, theirs []mv) {
	for i := range n {
		m := mv{id: fmt.Sprintf("%s_%03d", prefix, i), amount: int64(100 + i), payment: fmt.Sprintf("pay_%s_%03d", prefix, i), ref: "ord_" + prefix}
		m.ours = true
		ours = append(ours, m)
		m.ours, m.payment, m.fee, m.payout = false, "", 3, "po_"+prefix
		theirs = append(theirs, m)
	}
	return ours, theirs
}

// tables gives all that a database says of runs, without ids of its own and times.
func (f *runFixture) tables() map[string][]string {
	f.Helper()
	return map[string][]string{
		"match": pgtest.Column[string](f, f.db, `
SELECT format('%s %s %s %s', m.id, m.pass, m.score, string_agg(v.key::text || l.active, ',' ORDER BY v.key))
  FROM match m JOIN match_leg l ON l.match_id = m.id JOIN movement v ON v.id = l.movement_id GROUP BY m.id, m.pass, m.score ORDER BY m.id`),
		"open": pgtest.Column[string](f, f.db, `
SELECT format('%s %s %s', v.key, o.since_run, o.until_run) FROM open_movement o JOIN movement v ON v.id = o.movement_id ORDER BY v.key, o.since_run`),
		"run": pgtest.Column[string](f, f.db, `SELECT format('%s %s %s', number, state, encode(digest, 'hex')) FROM run ORDER BY number`),
		"partition": pgtest.Column[string](f, f.db, `
SELECT format('%s %s %s %s', run_number, partition_id, breaks, encode(digest, 'hex')) FROM run_partition ORDER BY run_number, partition_id`),
		"finding": pgtest.Column[string](f, f.db, `
SELECT format('%s %s %s %s %s %s %s', run_number, partition_id, place, code, matched, amount_minor, undone_run) FROM run_finding ORDER BY run_number, partition_id, place`),
		"transit": pgtest.Column[string](f, f.db, `
SELECT format('%s %s %s %s %s', run_number, since, until, legs, amount_minor) FROM run_transit ORDER BY run_number, since, until`),
		"taken":       pgtest.Column[string](f, f.db, `SELECT format('%s %s', id, run_number) FROM delivery ORDER BY id`),
		"provisional": pgtest.Column[string](f, f.db, `SELECT format('%s %s', match_id, until_run) FROM provisional_match ORDER BY match_id`),
	}
}

// lock keeps everybody from writing a table, until it is released.
func (f *runFixture) lock(table string) (release func()) {
	f.Helper()
	return f.lockFor("EXCLUSIVE", table)
}

func (f *runFixture) lockFor(mode, table string) (release func()) {
	f.Helper()
	tx, err := f.db.Begin(f.Context())
	if err == nil {
		_, err = tx.Exec(f.Context(), "LOCK TABLE "+table+" IN "+mode+" MODE")
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return func() {
		if err := tx.Rollback(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
}

// verify runs a run again.
func (f *runFixture) verify(id string) (*reconciliationv1.Verification, error) {
	f.Helper()
	stream, err := f.client.VerifyRun(f.Context(), &reconciliationv1.VerifyRunRequest{RunId: id})
	for {
		var answer *reconciliationv1.VerifyRunResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil {
			return nil, err
		}
		if v := answer.GetVerification(); v != nil {
			return v, nil
		}
	}
}

// wantVerified runs runs again, and wants them to come to the same, and what must hold of runs to hold.
func (f *runFixture) wantVerified(all ...*reconciliationv1.Run) {
	f.Helper()
	for _, view := range pgtest.Column[string](f, f.db, `SELECT viewname::text FROM pg_views WHERE viewname LIKE 'inv\_6%'`) {
		if v := pgtest.Column[string](f, f.db, `SELECT id || ': ' || detail FROM `+view); len(v) > 0 {
			f.Errorf("%s: %v", view, v)
		}
	}
	for _, r := range all {
		if v, err := f.verify(r.GetRunId()); err != nil || !v.GetHolds() || v.GetMatches() != r.GetMatched() || v.GetComputed() != r.GetDigest() {
			f.Errorf("run %d does not hold: %v, %v", r.GetNumber(), v, err)
		}
	}
}

// wantExplained wants the reports of a currency, whatever their days, to say what every cent of the drift is made of.
func (f *runFixture) wantExplained(currency string) {
	f.Helper()
	for d := mustDay(f, "2026-11-08"); d <= mustDay(f, "2026-11-30"); d++ {
		r := f.report(currency, dayText(d-3), dayText(d))
		left := r.GetDrift().GetMinorUnits()
		for _, e := range r.GetExplanations() {
			left -= e.GetAmount().GetMinorUnits()
		}
		if left != 0 || r.GetUnexplained().GetMinorUnits() != 0 {
			f.Errorf("on %s %d of the drift is not explained: %v", dayText(d), left, r)
		}
		closing := r.GetOpening().GetMinorUnits() - r.GetFees().GetMinorUnits() - r.GetArrived().GetMinorUnits() - r.GetTiming().GetMinorUnits()
		for _, e := range r.GetEffects() {
			closing += e.GetAmount().GetMinorUnits()
		}
		if closing != r.GetClosing().GetMinorUnits() || closing-r.GetClosingTheirs().GetMinorUnits() != r.GetDrift().GetMinorUnits() {
			f.Errorf("on %s opening + effects - fees - arrived - timing is %d: %v", dayText(d), closing, r)
		}
		f.wantLines(r)
	}
}

// wantLines wants the lines of a report to come to its explanations and its timing.
func (f *runFixture) wantLines(r *reconciliationv1.Report) {
	f.Helper()
	sums := map[string]int64{}
	for token := ""; ; {
		page, err := f.client.ListReportLines(f.Context(), &reconciliationv1.ListReportLinesRequest{
			Account: r.GetAccount(), CurrencyCode: r.GetClosing().GetCurrencyCode(), To: r.GetTo(), PageSize: 3, PageToken: token,
		})
		if err != nil {
			f.Fatal(err)
		}
		for _, l := range page.GetLines() {
			key := l.GetStage() + " " + l.GetCode()
			if l.GetCode() == "TIMING_OPEN" || l.GetCode() == "IN_TRANSIT" {
				key = "timing"
			}
			sums[key] += l.GetAmount().GetMinorUnits()
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	want := map[string]int64{}
	if _, some := sums["timing"]; some || r.GetTiming().GetMinorUnits() != 0 {
		want["timing"] = r.GetTiming().GetMinorUnits()
	}
	for _, e := range r.GetExplanations() {
		want[e.GetStage()+" "+e.GetCode()] = e.GetAmount().GetMinorUnits()
	}
	if diff := cmp.Diff(want, sums); diff != "" {
		f.Errorf("lines up to %s (-want +got):\n%s", r.GetTo(), diff)
	}
}

func (f *runFixture) report(currency, from, to string) *reconciliationv1.Report {
	f.Helper()
	answer, err := f.client.GetReport(f.Context(), &reconciliationv1.GetReportRequest{Account: "default", CurrencyCode: currency, From: from, To: to})
	if err != nil {
		f.Fatalf("report from %s to %s: %v", from, to, err)
	}
	return answer.GetReport()
}

func mustDay(t testing.TB, text string) match.Day {
	t.Helper()
	d, err := parseDay("day", text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// byHand has a person match movements, named by their notes, between two runs.
func (f *runFixture) byHand(notes ...string) (matchID int64) {
	f.Helper()
	movements := pgtest.Column[int64](f, f.db, `SELECT id FROM movement WHERE note = ANY ($1)`, notes)
	f.keys++
	matchID = int64(-f.keys)
	f.between(func(st store, last int32) error {
		_, err := st.db.Exec(f.Context(), `
INSERT INTO match_pair (match_id, number, ours_id, theirs_id, partition_id, pass)
SELECT $1, row_number() OVER (), CASE WHEN ours THEN id END, CASE WHEN NOT ours THEN id END, min(partition_id) OVER (), 0 FROM movement WHERE id = ANY ($2)`, matchID, movements)
		if err != nil {
			return err
		}
		return st.closeByHand(f.Context(), last, matchID)
	})
	return matchID
}

// between does what a person decides between two runs.
func (f *runFixture) between(do func(st store, last int32) error) {
	f.Helper()
	err := pg.InTx(f.Context(), f.reconciliation.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		last, err := st.betweenRuns(f.Context())
		if err != nil {
			return err
		}
		return do(st, last.Number)
	})
	if err != nil {
		f.Fatalf("deciding by hand: %v", err)
	}
}

// keyOf gives the key of the movement with a note.
func (f *runFixture) keyOf(note string) match.Key {
	f.Helper()
	return match.Key(pgtest.Column[uuid.UUID](f, f.db, `SELECT key FROM movement WHERE note = $1`, note)[0])
}

// cancelled begins a run that cannot end, wants nobody to decide anything by hand meanwhile, and cancels it.
func (f *runFixture) cancelled() {
	f.Helper()
	f.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON run_partition FOR EACH ROW EXECUTE FUNCTION refuse()`)
	begun, err := f.begin(asOf)
	if err != nil {
		f.Fatal(err)
	}
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetTrouble() != "" })
	rpcerrtest.Want(f, pg.InTx(f.Context(), f.reconciliation.pool, func(tx *pg.Tx) error {
		_, err := newStore(tx).betweenRuns(f.Context())
		return err
	}), rpcerr.RunUnderWay)
	cancel := &reconciliationv1.CancelRunRequest{IdempotencyKey: "cancel-" + begun.GetRunId(), RunId: begun.GetRunId(), Reason: "a test"}
	if _, err := f.client.CancelRun(f.Context(), cancel); err != nil {
		f.Fatal(err)
	}
	f.until(begun.GetRunId(), func(r *reconciliationv1.Run) bool { return r.GetEndTime() != nil })
	f.exec(`DROP TRIGGER refuse ON run_partition; DROP FUNCTION refuse`)
}
