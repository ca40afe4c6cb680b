package billing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
)

const (
	// proveEvery is how soon the end of a batch is noticed that nobody told of.
	proveEvery = 5 * time.Second
	// provePiece is how many items are read at once.
	provePiece = 10_000
)

// proof is what the items of a batch come to when they are added up again.
type proof struct {
	provenAt              time.Time
	items                 int64
	planHash, outcomeHash []byte
	collected             []sum
	difference            string // what does not hold
}

// tally is a proof in the making.
type tally struct {
	items         int64
	byState       map[itemState]int64
	plan, outcome hash.Hash
	planned       map[money.Currency]sum
	collected     map[money.Currency]sum
}

func (b *billing) wakeProver() {
	b.prove.Ring()
}

// proveOnce proves the totals of a batch that has come to its end, and ends it.
func (b *billing) proveOnce(ctx context.Context) (again bool, err error) {
	err = pg.InTx(ctx, b.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		row, err := st.q.ClaimToProve(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for batches to prove: %w", err)
		}
		again = true
		held, err := st.lock(ctx, BatchID(row))
		if err != nil {
			return err
		}
		if err := st.complete(ctx, held); err != nil {
			return err
		}
		t, err := st.tally(ctx, held.id)
		if err != nil {
			return err
		}
		p := t.prove(held)
		if p.difference != "" {
			b.log.ErrorContext(ctx, "the totals of a batch do not hold", slog.String("batch_id", held.id.String()), slog.String("difference", p.difference))
		}
		if err := st.end(ctx, held, p); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			b.metrics.proven(ctx, p)
			b.watchers.Notify(held.id.UUID())
		})
		return b.outbox.Write(ctx, tx, eventEnded(held, p))
	})
	return again, err
}

// tally adds up the items of a batch whose row is held, some at a time.
func (s store) tally(ctx context.Context, bid BatchID) (*tally, error) {
	t := &tally{
		byState: map[itemState]int64{}, plan: sha256.New(), outcome: sha256.New(),
		planned: map[money.Currency]sum{}, collected: map[money.Currency]sum{},
	}
	for last := int64(0); ; {
		rows, err := s.q.ListForProof(ctx, billingdb.ListForProofParams{BatchID: bid.UUID(), AfterLine: last, N: provePiece})
		if err != nil {
			return nil, fmt.Errorf("reading items: %w", err)
		}
		for _, r := range rows {
			if err := t.add(r); err != nil {
				return nil, err
			}
			last = r.Line
		}
		if len(rows) < provePiece {
			return t, nil
		}
	}
}

func (t *tally) add(r billingdb.ListForProofRow) error {
	amount := money.Amount{Currency: money.Currency(r.Currency), Minor: r.AmountMinor}
	state := itemState(r.State)
	t.items++
	t.byState[state]++
	hashItem(t.plan, r.Line, r.Reference, r.CustomerID, r.PaymentMethod, amount, r.Description)
	fmt.Fprintf(t.outcome, "%d %d %d %d %s\n", r.Line, r.State, r.Attempt, r.AmountMinor, r.PaymentID)
	if err := into(t.planned, amount); err != nil {
		return err
	}
	if state != itemSucceeded {
		return nil
	}
	return into(t.collected, amount)
}

func into(sums map[money.Currency]sum, a money.Amount) error {
	s := sums[a.Currency]
	s.Currency = a.Currency
	total, err := s.Add(a)
	if err != nil {
		return fmt.Errorf("adding up items: %w", err)
	}
	sums[a.Currency] = sum{s.Items + 1, total}
	return nil
}

func byCurrency(sums map[money.Currency]sum) []sum {
	return slices.SortedFunc(maps.Values(sums), func(a, b sum) int { return strings.Compare(string(a.Currency), string(b.Currency)) })
}

// prove compares what the items come to with what the batch says.
func (t *tally) prove(b *batch) proof {
	p := proof{items: t.items, planHash: t.plan.Sum(nil), outcomeHash: t.outcome.Sum(nil), collected: []sum{}}
	var wrong []string
	differ := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if t.items != b.items {
		differ("there are %d items, and %d were planned", t.items, b.items)
	}
	if !bytes.Equal(p.planHash, b.planHash) {
		differ("the items are not those that were planned: their hash is %x and not %x", p.planHash, b.planHash)
	}
	for state, says := range map[itemState]int64{
		itemPlanned: b.planned, itemRunning: b.running, itemSucceeded: b.succeeded, itemFailed: b.failed, itemUnknown: b.unknown, itemCancelled: b.cancelled,
	} {
		if found := t.byState[state]; found != says {
			differ("%d items are %s, and the batch says %d", found, state, says)
		}
	}
	for _, c := range b.sums {
		if found := t.planned[c.planned.Currency]; found != c.planned {
			differ("the items in %s are %d over %d, and %d over %d were planned", c.planned.Currency, found.Items, found.Minor, c.planned.Items, c.planned.Minor)
		}
		found := t.collected[c.planned.Currency]
		found.Currency = c.planned.Currency
		if found != c.collected {
			differ("%d items over %d in %s were taken, and the batch says %d over %d", found.Items, found.Minor, c.planned.Currency, c.collected.Items, c.collected.Minor)
		}
		delete(t.planned, c.planned.Currency)
	}
	for _, c := range slices.Sorted(maps.Keys(t.planned)) {
		differ("there are items in %s, and none were planned", c)
	}
	p.collected = append(p.collected, byCurrency(t.collected)...)
	slices.Sort(wrong)
	p.difference = strings.Join(wrong, "; ")
	return p
}

// end stores a proof, and ends the batch.
func (s store) end(ctx context.Context, b *batch, p proof) error {
	collected, err := json.Marshal(p.collected)
	if err != nil {
		return fmt.Errorf("encoding proof: %w", err)
	}
	err = s.q.InsertProof(ctx, billingdb.InsertProofParams{
		BatchID: b.id.UUID(), Items: p.items, PlanHash: p.planHash, OutcomeHash: p.outcomeHash, Collected: collected, Difference: p.difference,
	})
	if err != nil {
		return fmt.Errorf("writing proof: %w", err)
	}
	if err := s.q.EndBatch(ctx, b.id.UUID()); err != nil {
		return fmt.Errorf("ending batch: %w", err)
	}
	if b.state = batchFinished; !b.cancelledAt.IsZero() {
		b.state = batchCancelled
	}
	return nil
}
