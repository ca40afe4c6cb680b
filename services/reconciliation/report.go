package reconciliation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// The codes of explanations that are no breaks.
const (
	codeByHand    = "BY_HAND"    // what is left of matches that people made
	codeAdjusted  = "ADJUSTED"   // payouts that were paid out otherwise than reported, as was found about their lines
	codeConverted = "CONVERTED"  // in this currency for us and settled in another one, or the reverse
	codeInTransit = "IN_TRANSIT" // on its way between two days
)

// reportQuery says of what a report is.
type reportQuery struct {
	account, currency string
	from, to          match.Day
}

// balanceReport is what the provider owes us by our books, and by what others say. Amounts are in minor units.
type balanceReport struct {
	reportQuery
	run *reconciliationdb.ReportRunRow // the last that has finished; nil for none

	opening, fees, arrived, timing, closing, closingTheirs, drift, unexplained int64
	effects                                                                    []effect
	explanations                                                               []explanation
	waiting                                                                    int64 // movements that no run has looked at
}

// effect is what happened to money of one kind.
type effect struct {
	kind          match.Kind
	count, amount int64
}

// explanation is what a code explains of the drift.
type explanation struct {
	stage         stage
	code          string
	count, amount int64
}

// reporter reads a report, at one moment.
type reporter struct {
	store
	reportQuery
	places []partitionID
	run    *reconciliationdb.ReportRunRow
	number int32 // of the last run that has ended: what it left is what there is
	// finished is the number of the last run that has finished: what it found says why something is open; 0 for none.
	finished int32
	err      error // of sums that do not fit
}

// plus adds minor units, and notes when they do not fit.
func (r *reporter) plus(sum *int64, minor int64) {
	if r.err == nil {
		*sum, r.err = plus(*sum, minor)
	}
}

// reading runs do on the state of one moment, for the account and currency that are asked for.
func (r *reconciliation) reading(ctx context.Context, q reportQuery, do func(context.Context, *reporter) error) error {
	if q.from > q.to {
		return rpcerr.ForField(rpcerr.RequestInvalid, "from", "is behind to")
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, r.pool, options, func(tx pgx.Tx) error {
		reader := &reporter{store: newStore(tx), reportQuery: q}
		partitions, err := reader.partitions(ctx)
		if err != nil {
			return err
		}
		for id, p := range partitions {
			if p.account == q.account && p.currency == q.currency {
				reader.places = append(reader.places, id)
			}
		}
		if slices.Sort(reader.places); len(reader.places) == 0 {
			return rpcerr.ForField(rpcerr.NotFound, "account", "there are no movements in %s of account %q", q.currency, q.account)
		}
		last, err := reader.q.ReportRun(ctx)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("looking for the last run: %w", err)
		}
		if err == nil {
			reader.run, reader.finished = &last, last.Number
		}
		if reader.number, err = reader.q.LastEndedRun(ctx); err != nil {
			return fmt.Errorf("looking for the last run: %w", err)
		}
		return do(ctx, reader)
	})
}

// report makes a report.
func (r *reconciliation) report(ctx context.Context, q reportQuery) (made *balanceReport, err error) {
	err = r.reading(ctx, q, func(ctx context.Context, reader *reporter) error {
		made = &balanceReport{reportQuery: q, run: reader.run}
		if made.waiting, err = reader.q.CountUntaken(ctx, &reader.number); err != nil {
			return fmt.Errorf("counting movements: %w", err)
		}
		for _, read := range []func(context.Context, *balanceReport) error{reader.days, reader.notes, reader.open, reader.byHand} {
			if err := read(ctx, made); err != nil {
				return err
			}
		}
		made.conclude(reader)
		return reader.err
	})
	return made, err
}

// days reads the balances. Until conclude, closing and closingTheirs are what the books and the others say, and drift is nothing.
func (r *reporter) days(ctx context.Context, made *balanceReport) error {
	rows, err := r.q.ReportDays(ctx, reconciliationdb.ReportDaysParams{Since: dateOf(r.from), Places: r.places, Run: r.number, Until: dateOf(r.to)})
	if err != nil {
		return fmt.Errorf("reading balances: %w", err)
	}
	for _, row := range rows {
		at, kind := stage(row.Stage), match.Kind(row.Kind)
		if at == stageBank && kind == match.KindFee {
			continue // what the bank keeps is between it and us
		}
		books, theirs := row.AmountMinor, int64(0)
		switch {
		case at == stageProvider && row.Ours:
			if row.Within {
				made.effects = append(made.effects, effect{kind, row.Movements, row.AmountMinor})
			}
		case at == stageProvider:
			books, theirs = -row.FeeMinor, row.AmountMinor-row.FeeMinor
			if row.Within {
				r.plus(&made.fees, row.FeeMinor)
			}
		case row.Ours: // what was paid out, as the provider reports
			books, theirs = 0, -row.AmountMinor
		default:
			books = -row.AmountMinor
			if row.Within {
				r.plus(&made.arrived, row.AmountMinor)
			}
		}
		r.plus(&made.closing, books)
		r.plus(&made.closingTheirs, theirs)
		if !row.Within {
			r.plus(&made.opening, books)
		}
	}
	slices.SortFunc(made.effects, func(a, b effect) int { return cmp.Compare(a.kind, b.kind) })
	return nil
}

// notes reads what was found about what is matched. A fee that is more than expected is no fee by our books.
func (r *reporter) notes(ctx context.Context, made *balanceReport) error {
	rows, err := r.q.ReportNotes(ctx, reconciliationdb.ReportNotesParams{Since: dateOf(r.from), Places: r.places, Run: r.number, Until: dateOf(r.to)})
	if err != nil {
		return fmt.Errorf("reading what was found: %w", err)
	}
	for _, row := range rows {
		r.explain(made, stage(row.Stage), row.Code, row.Count, row.DriftMinor)
		if row.Code != string(breaks.FeeVariance) {
			continue
		}
		r.plus(&made.closing, row.DriftMinor)
		if row.Within {
			r.plus(&made.fees, -row.DriftMinor)
		} else {
			r.plus(&made.opening, row.DriftMinor)
		}
	}
	return nil
}

// open reads what is open, and what is on its way.
func (r *reporter) open(ctx context.Context, made *balanceReport) error {
	rows, err := r.q.ReportOpen(ctx, reconciliationdb.ReportOpenParams{Places: r.places, Run: r.number, Finished: r.finished, Until: dateOf(r.to)})
	if err != nil {
		return fmt.Errorf("reading what is open: %w", err)
	}
	for _, row := range rows {
		switch row.Code {
		case string(breaks.TimingOpen):
			r.plus(&made.timing, row.AmountMinor)
		case "":
		default:
			r.explain(made, stage(row.Stage), row.Code, row.Count, row.AmountMinor)
		}
	}
	transit, err := r.q.ReportTransit(ctx, reconciliationdb.ReportTransitParams{Places: r.places, Run: r.number, Until: dateOf(r.to)})
	if err != nil {
		return fmt.Errorf("reading what is on its way: %w", err)
	}
	for _, row := range transit {
		r.plus(&made.timing, row.AmountMinor)
	}
	return nil
}

// byHand reads what is left of matches that people made.
func (r *reporter) byHand(ctx context.Context, made *balanceReport) error {
	rows, err := r.q.ReportByHand(ctx, reconciliationdb.ReportByHandParams{Places: r.places, Until: dateOf(r.to), After: math.MinInt64, N: math.MaxInt32})
	if err != nil {
		return fmt.Errorf("reading matches by hand: %w", err)
	}
	for _, row := range rows {
		r.explain(made, stage(row.Stage), codeByHand, 1, row.AmountMinor)
	}
	return nil
}

// explain adds to what a code explains.
func (r *reporter) explain(made *balanceReport, at stage, code string, count, minor int64) {
	for i := range made.explanations {
		if e := &made.explanations[i]; e.stage == at && e.code == code {
			e.count += count
			r.plus(&e.amount, minor)
			return
		}
	}
	made.explanations = append(made.explanations, explanation{at, code, count, minor})
}

// conclude takes what is on its way off the books, and sees what is not explained.
func (made *balanceReport) conclude(r *reporter) {
	slices.SortFunc(made.explanations, func(a, b explanation) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), strings.Compare(a.code, b.code))
	})
	r.plus(&made.closing, -made.timing)
	made.drift = made.closing
	r.plus(&made.drift, -made.closingTheirs)
	made.unexplained = made.drift
	for _, e := range made.explanations {
		r.plus(&made.unexplained, -e.amount)
	}
}
