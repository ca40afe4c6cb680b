package reconciliation

import (
	"iter"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// plantedCases is the planted truth of so many things that happened, in November.
func plantedCases(t testing.TB, cases int) matchtest.Config {
	return matchtest.Config{Seed: 1, Cases: cases, First: mustDay(t, "2026-11-01")}
}

// plantedRules are the prices of the provider of the planted truth.
func plantedRules(set *rules.Set) {
	set.Fees = []rules.Fee{
		{About: rules.About{Currency: "EUR", Kind: match.KindCharge}, RatePPM: 15_000, FixedMinor: 25, Rounding: rules.Down},
		{Rounding: rules.Down},
	}
}

// TestRun_FindsThePlantedTruth has the service match what was planted, and wants each match and each break as it was planted, no
// other, the drift explained to the cent, and the run to be the same when it is run again.
func TestRun_FindsThePlantedTruth(t *testing.T) {
	t.Parallel()
	f := setupRuns(t)
	f.reconciliation.runner.pieceSize = pieceSize
	f.putRules(plantedRules)
	c := plantedCases(t, 20_000)
	plant(t, f.db, c)
	made := f.run(dayText(c.AsOf()))
	t.Logf("%d movements, %d matches, %v", made.GetMovements(), made.GetMatched(), made.GetBreaks())
	wantPlanted(t, f.db, c)
	f.wantVerified(made)
	report := f.report("EUR", dayText(c.First), dayText(c.AsOf()))
	if report.GetUnexplained().GetMinorUnits() != 0 {
		t.Errorf("of a drift of %v, %v is not explained", report.GetDrift(), report.GetUnexplained())
	}
}

// plant has the planted truth come in, in two deliveries: what is ours, and what is theirs.
func plant(t testing.TB, db *pgxpool.Pool, c matchtest.Config) (rows int64) {
	t.Helper()
	at := map[match.Stage]int32{match.StageProvider: 1, match.StageBank: 2}
	var places [2]int32
	next, stop := iter.Pull2(func(yield func(matchtest.Line, [2]int32) bool) {
		for of := range matchtest.Generate(c) {
			for delivery, lines := range [][]matchtest.Line{of.Ours, of.Theirs} {
				for _, l := range lines {
					if !yield(l, [2]int32{at[of.Stage], int32(delivery)}) {
						return
					}
				}
			}
		}
	})
	defer stop()
	if _, err := db.Exec(t.Context(), `INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'EUR'), (2, 'default', 'EUR')`); err != nil {
		t.Fatal(err)
	}
	columns := []string{
		"id", "key", "partition_id", "ours", "kind", "standing", "amount_minor", "fee_minor", "day", "line",
		"provider_id", "parent_id", "idem_key", "reference", "payout_id", "note",
	}
	rows, err := db.CopyFrom(t.Context(), pgx.Identifier{"movement"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		l, of, more := next()
		if !more {
			return nil, nil
		}
		delivery, day, fee := of[1], l.Day, l.Fee
		if places[delivery]++; delivery == 0 {
			fee = 0 // what is expected is told by the rules
			if l.Due == c.AsOf() {
				day = l.Due // so that it is not due
			}
		}
		row := []any{
			movementID(delivery+1, places[delivery]), uuid.UUID(l.Key()), of[0], delivery == 0, int16(l.Kind), int16(l.Standing), l.Amount, fee,
			dateOf(day), places[delivery],
		}
		for _, text := range l.Carriers {
			row = append(row, text)
		}
		return append(row, l.Text), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `INSERT INTO delivery (kind, state, rows) VALUES (3, 1, $1), (1, 1, $2)`, places[0], places[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `VACUUM ANALYZE movement`); err != nil {
		t.Fatal(err)
	}
	return rows
}

// wantPlanted wants what the only run of a database has stored to be what was planted, all of it and nothing else.
func wantPlanted(t testing.TB, db *pgxpool.Pool, c matchtest.Config) {
	t.Helper()
	for _, at := range []match.Stage{match.StageProvider, match.StageBank} {
		part := matchtest.Collect(matchtest.Generate(c), at, 1)
		v := part.Truth.JudgeFound(storedBy(t, db, at))
		t.Logf("%s: right %d, wrong %d, missed %d, excused %d, ambiguous rows %d", at, v.Right, v.Wrong, v.Missed, v.Excused, v.Ambiguous)
		if v.Precision() != 1000 || v.Recall() != 1000 {
			t.Errorf("%s: precision %d, recall %d of 1000: %q", at, v.Precision(), v.Recall(), v.Wrongs)
		}
	}
}

// storedBy gives the matches and findings of a stage as the database has them.
func storedBy(t testing.TB, db *pgxpool.Pool, at match.Stage) iter.Seq[matchtest.Found] {
	return func(yield func(matchtest.Found) bool) {
		rows, err := db.Query(t.Context(), `
SELECT '', array_agg(v.key) FROM match m JOIN match_leg l ON l.match_id = m.id JOIN movement v ON v.id = l.movement_id
 WHERE v.partition_id = $1 GROUP BY m.id
UNION ALL
SELECT f.code, (SELECT array_agg(v.key) FROM movement v WHERE v.id = ANY (f.ours || f.theirs)) FROM run_finding f
 WHERE f.partition_id = $1 AND f.code <> 'ADJUSTED'`,
			map[match.Stage]int{match.StageProvider: 1, match.StageBank: 2}[at])
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var code string
		var keys []uuid.UUID
		for rows.Next() {
			if err := rows.Scan(&code, &keys); err != nil {
				t.Fatal(err)
			}
			found := matchtest.Found{Code: breaks.Code(code)}
			for _, k := range keys {
				found.Keys = append(found.Keys, match.Key(k))
			}
			if !yield(found) {
				return
			}
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
}
