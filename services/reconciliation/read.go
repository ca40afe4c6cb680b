package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// run gives a run with what it came to. NOT_FOUND when there is none.
func (s store) run(ctx context.Context, rid RunID) (*run, error) {
	row, err := s.q.GetRun(ctx, rid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noRun(rid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading run: %w", err)
	}
	found := runOf(row)
	return found, s.completeRuns(ctx, []*run{found})
}

// runs gives up to n runs before a number, newest first; 0 for all.
func (s store) runs(ctx context.Context, before, n int32) ([]*run, error) {
	if before == 0 {
		before = math.MaxInt32
	}
	rows, err := s.q.ListRuns(ctx, reconciliationdb.ListRunsParams{Before: before, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	all := make([]*run, len(rows))
	for i, row := range rows {
		all[i] = runOf(reconciliationdb.GetRunRow(row))
	}
	return all, s.completeRuns(ctx, all)
}

func runOf(row reconciliationdb.GetRunRow) *run {
	r := &run{
		id: RunID(row.ID), number: row.Number, state: runState(row.State), asOf: dayIn(row.AsOf), rules: row.Rules, movements: row.Rows,
		telling: row.Telling, begunBy: row.BegunBy, cancelling: row.Cancelling, trouble: row.Trouble, startedAt: row.StartedAt,
		digest: row.Digest, publicKey: row.PublicKey, signature: row.Signature, byPass: make([]int64, match.NumPasses-1),
	}
	if row.EndedAt != nil {
		r.endedAt = *row.EndedAt
	}
	return r
}

// completeRuns reads what runs came to, or how far they have come.
func (s store) completeRuns(ctx context.Context, all []*run) error {
	numbers, byNumber := make([]int32, len(all)), make(map[int32]*run, len(all))
	for i, r := range all {
		numbers[i], byNumber[r.number] = r.number, r
	}
	rows, err := s.q.ResultsOfRuns(ctx, numbers)
	if err != nil {
		return fmt.Errorf("reading what runs came to: %w", err)
	}
	counts := map[int32]map[breaks.Code]int64{}
	for _, row := range rows {
		r := byNumber[row.RunNumber]
		p := &partitionResult{
			partition: partition{id: row.PartitionID, stage: stage(row.Stage), account: row.Account, currency: row.Currency},
			ours:      int64(row.Ours), theirs: int64(row.Theirs), oursMatched: int64(row.OursMatched), theirsMatched: int64(row.TheirsMatched),
			settled: int64(row.Settled), matches: int64(row.Matches), digest: row.Digest,
		}
		if p.breaks, err = codesOf(row.Breaks); err != nil {
			return err
		}
		r.add(p, row.ByPass)
		if counts[r.number] == nil {
			counts[r.number] = map[breaks.Code]int64{}
		}
		for _, c := range p.breaks {
			counts[r.number][c.code] += c.count
		}
	}
	for _, r := range all {
		r.breaks = byCode(counts[r.number])
		if r.state != runRunning {
			r.movements = r.seen()
			continue
		}
		pieces, err := s.q.SumPieces(ctx, r.number)
		if err != nil {
			return fmt.Errorf("reading how far runs have come: %w", err)
		}
		r.matched, r.movementsMatched = pieces.Matches, pieces.Movements
	}
	return nil
}

// add adds what a run came to in a partition.
func (r *run) add(p *partitionResult, byPass []int32) {
	r.partitions = append(r.partitions, p)
	r.matched += p.matches
	r.movementsMatched += p.oursMatched + p.theirsMatched
	for pass, n := range byPass {
		r.byPass[pass] += int64(n)
	}
}

// seen is how many movements a run that has ended has looked at.
func (r *run) seen() (n int64) {
	for _, p := range r.partitions {
		n += p.ours + p.theirs
	}
	return n
}

// watch sends a run as it stands and again as it goes on, until it has ended.
func (r *reconciliation) watch(ctx context.Context, rid RunID, send func(*run) error) error {
	return watch.FollowProgress(ctx, r.watchers, rid.UUID(), watch.Progress[*run, runProgress]{
		Read: func() (*run, error) { return newStore(r.pool).run(ctx, rid) }, Of: (*run).progress, Ended: func(now *run) bool { return now.state.ended() }, Send: send,
	})
}

// runProgress is what changes in a run.
type runProgress struct {
	state      runState
	telling    bool
	cancelling string
	trouble    string
	matched    int64
	partitions int
}

func (r *run) progress() runProgress {
	return runProgress{r.state, r.telling, r.cancelling, r.trouble, r.movementsMatched, len(r.partitions)}
}

// matched is movements that are the same money, as it is stored.
type matched struct {
	id               int64
	partition        partition
	pass             match.Pass
	oursBy, theirsBy match.Carrier
	score            int16
	evidence         string
	active           bool
	movements        []matchedMovement
}

// matchedMovement is a movement in a match.
type matchedMovement struct {
	id                                       MovementID
	ours                                     bool
	kind                                     match.Kind
	amount                                   money.Amount
	fee                                      int64
	day                                      match.Day
	providerID, reference, payoutID, payment string
}

// matchQuery says which matches: those of a run, of a movement, or of a payment.
type matchQuery struct {
	run      RunID
	movement MovementID
	payment  string
	after    int64
	n        int32
}

// matches gives matches in the order of their ids.
func (s store) matches(ctx context.Context, q matchQuery) ([]*matched, error) {
	rows, err := s.matchRows(ctx, q)
	if err != nil {
		return nil, err
	}
	partitions, err := s.partitions(ctx)
	if err != nil {
		return nil, err
	}
	ids, byID, all := make([]int64, len(rows)), make(map[int64]*matched, len(rows)), make([]*matched, len(rows))
	for i, r := range rows {
		all[i] = &matched{
			id: r.ID, partition: partitions[r.PartitionID], pass: match.Pass(r.Pass), oursBy: match.Carrier(r.OursBy),
			theirsBy: match.Carrier(r.TheirsBy), score: r.Score, evidence: r.Evidence,
		}
		ids[i], byID[r.ID] = r.ID, all[i]
	}
	legs, err := s.q.LegsOfMatches(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading what is matched: %w", err)
	}
	for _, l := range legs {
		m := byID[l.MatchID]
		m.active = l.Active
		m.movements = append(m.movements, matchedMovement{
			id: MovementID(l.Key), ours: l.Ours, kind: match.Kind(l.Kind), fee: l.FeeMinor, day: dayIn(l.Day), providerID: l.ProviderID,
			amount:    money.Amount{Currency: money.Currency(m.partition.currency), Minor: l.AmountMinor},
			reference: l.Reference, payoutID: l.PayoutID, payment: l.PaymentID,
		})
	}
	return all, nil
}

func (s store) matchRows(ctx context.Context, q matchQuery) (rows []reconciliationdb.Match, err error) {
	switch {
	case !q.movement.IsZero():
		rows, err = s.q.MatchesOfMovement(ctx, reconciliationdb.MatchesOfMovementParams{Key: uuid.UUID(q.movement), After: q.after, N: q.n})
	case q.payment != "":
		rows, err = s.q.MatchesOfPayment(ctx, reconciliationdb.MatchesOfPaymentParams{PaymentID: q.payment, After: q.after, N: q.n})
	default:
		var number int32
		if number, err = s.q.NumberOfRun(ctx, q.run.UUID()); errors.Is(err, pgx.ErrNoRows) {
			return nil, noRun(q.run)
		}
		if err == nil {
			after := max(q.after, matchID(number, 0)) // behind it they are without gaps
			rows, err = s.q.MatchesOfRun(ctx, reconciliationdb.MatchesOfRunParams{
				After: after, Until: min(after+int64(q.n), matchID(number, maxPlace)),
			})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listing matches: %w", err)
	}
	return rows, nil
}
