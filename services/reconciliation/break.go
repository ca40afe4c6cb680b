package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const methodOperateBreak = "OperateBreak"

// BreakID identifies a break: a UUID that is made of what it is about.
type BreakID = id.ID[breakKind]

type breakKind struct{}

// Prefix implements id.Kind.
func (breakKind) Prefix() string { return "brk" }

// broken is a break as it stands.
type broken struct {
	reconciliationdb.Break
	code       breaks.Code
	state      breaks.State
	resolution breaks.Resolution
	amount     money.Amount
}

func brokenOf(row reconciliationdb.Break) *broken {
	return &broken{
		Break: row, code: breaks.Code(row.Code), state: breaks.State(row.State), resolution: breaks.Resolution(row.Resolution),
		amount: money.Amount{Currency: money.Currency(row.Currency), Minor: row.AmountMinor},
	}
}

// id is the break's id.
func (b *broken) id() BreakID { return BreakID(b.ID) }

// breakDecision is what a person decides on a break. It is kept as JSON with a plan.
type breakDecision struct {
	Verb     breaks.Verb       `json:"verb"`
	Reason   string            `json:"reason"`
	Assignee string            `json:"assignee,omitempty"`
	Until    time.Time         `json:"until,omitzero"`
	How      breaks.Resolution `json:"how,omitempty"`
	Account  string            `json:"account,omitempty"`
	Against  string            `json:"against,omitempty"`
}

// fields are the decision in an order that never changes.
func (d breakDecision) fields() []idem.Field {
	until := ""
	if !d.Until.IsZero() {
		until = d.Until.UTC().Format(time.RFC3339Nano)
	}
	return []idem.Field{
		{Name: "decision.verb", Value: string(d.Verb)}, {Name: "decision.reason", Value: d.Reason},
		{Name: "decision.assignee", Value: d.Assignee}, {Name: "decision.snooze_until_time", Value: until},
		{Name: "decision.resolution", Value: d.How.String()}, {Name: "decision.account", Value: d.Account},
		{Name: "decision.against", Value: d.Against},
	}
}

// check refuses a decision that says too little, or what its verb has no use for.
func (d breakDecision) check(now time.Time) error {
	resolves := d.How == breaks.WrittenOff || d.How == breaks.Reposted || d.How == breaks.Repaired
	books := d.How == breaks.WrittenOff || d.How == breaks.Reposted
	for _, wrong := range []struct {
		is           bool
		field, about string
	}{
		{d.Verb == breaks.Resolve && !resolves, "decision.resolution", "what a person resolves a break by is WRITTEN_OFF, REPOSTED or REPAIRED"},
		{d.Verb != breaks.Resolve && d.How != 0, "decision.resolution", "is for RESOLVE"},
		{d.Verb != breaks.Assign && d.Assignee != "", "decision.assignee", "is for ASSIGN"},
		{d.Verb == breaks.Snooze && !d.Until.After(now), "decision.snooze_until_time", "is required to snooze, and lies ahead"},
		{d.Verb != breaks.Snooze && !d.Until.IsZero(), "decision.snooze_until_time", "is for SNOOZE"},
		{d.Account != "" && (!books || !isLedgerAccount(d.Account)), "decision.account", "is an account of the ledger, for what is written off or reposted"},
		{d.Against != "" && (!books || !isLedgerAccount(d.Against)), "decision.against", "is an account of the ledger, for what is written off or reposted"},
	} {
		if wrong.is {
			return rpcerr.ForField(rpcerr.RequestInvalid, wrong.field, "%s", wrong.about)
		}
	}
	return nil
}

// operateBreakCommand is a decision on one break.
type operateBreakCommand struct {
	caller, key string
	breakID     BreakID
	decision    breakDecision
}

// operateBreak carries a person's decision on a break out, once per request, and gives the break after it.
func (r *reconciliation) operateBreak(ctx context.Context, c operateBreakCommand) (*broken, error) {
	if err := c.decision.check(time.Now()); err != nil {
		return nil, err
	}
	request := idem.Request{
		Caller: c.caller, Method: methodOperateBreak, Key: c.key, TTL: r.keyTTL,
		Fields: append([]idem.Field{{Name: "break_id", Value: c.breakID.String()}}, c.decision.fields()...),
	}
	_, err := idem.Once(ctx, r.pool, request, func(ctx context.Context, tx *pg.Tx) (BreakID, string, error) {
		return c.breakID, c.breakID.String(), r.decide(ctx, tx, c.breakID, c.caller, c.decision)
	})
	if err != nil {
		return nil, err
	}
	return newStore(r.pool).getBreak(ctx, c.breakID)
}

// change is what a decision makes of a break that is held.
type change struct {
	*broken
	store    store
	actor    string
	decision breakDecision
	detail   map[string]string // of the history
	events   []bus.Event
}

// decide carries a decision out in a transaction: what becomes of the break, its movements and journals, its history, the audit
// row and the event are written together.
func (r *reconciliation) decide(ctx context.Context, tx *pg.Tx, bid BreakID, actor string, d breakDecision) error {
	st := newStore(tx)
	held, err := st.lockBreak(ctx, bid)
	if err != nil {
		return err
	}
	c := &change{broken: held, store: st, actor: actor, decision: d, detail: map[string]string{}}
	verb := d.Verb
	if _, ok := breaks.Next(held.state, held.resolution, verb); !ok {
		return rpcerr.New(rpcerr.BreakStateRefused, "%s: %s", bid, breaks.Refusal(held.state, verb))
	}
	var order breakJournal
	if verb == breaks.Resolve {
		if order, err = r.planJournal(ctx, c); err != nil {
			return err
		}
		if order.kind != journalRepair && r.policy().NeedsApproval(held.amount) {
			verb = breaks.Propose
		}
	}
	to, _ := breaks.Next(held.state, held.resolution, verb)
	if err := r.carryOut(ctx, c, verb, order); err != nil {
		return err
	}
	c.state, c.Note = to, actor+": "+d.Reason
	if err := st.setBreak(ctx, c, verb); err != nil {
		return err
	}
	if err := st.insertAction(ctx, actor, "break "+string(d.Verb), bid.String(), d.Reason); err != nil {
		return err
	}
	tx.AfterCommit(r.breakBell.Ring)
	return r.outbox.Write(ctx, tx, c.events...)
}

// carryOut does what a verb does besides the state.
func (r *reconciliation) carryOut(ctx context.Context, c *change, verb breaks.Verb, order breakJournal) error {
	d := c.decision
	if verb != breaks.Assign && verb != breaks.Snooze && verb != breaks.Ack {
		c.SnoozedUntil = nil
	}
	switch verb {
	case breaks.Assign:
		c.Assignee, c.detail["assignee"] = d.Assignee, d.Assignee
	case breaks.Snooze:
		c.SnoozedUntil, c.detail["until"] = &d.Until, d.Until.UTC().Format(time.RFC3339)
	case breaks.Accept:
		c.resolution = breaks.Accepted
		c.events = append(c.events, eventBreakResolved(c.ID, c.Code, c.OrderID, c.resolution, ""))
		return c.closeMovements(ctx)
	case breaks.Propose, breaks.Resolve:
		return c.ask(ctx, order, verb == breaks.Propose)
	case breaks.Approve, breaks.Reject:
		return c.settleProposal(ctx, verb == breaks.Approve)
	case breaks.Reopen:
		c.events = append(c.events, eventBreakReopened(c.ID, c.Code, c.OrderID, d.Reason))
		return c.reopen(ctx)
	}
	return nil
}

// reopen takes the end of a break back: its movements are open again, and what was booked is booked back.
func (c *change) reopen(ctx context.Context) error {
	c.resolution = 0
	if err := c.releaseMovements(ctx); err != nil {
		return err
	}
	return c.takeBack(ctx)
}

// closeMovements makes a match by hand of the movements of the break, where it has any that are not matched anyway.
func (c *change) closeMovements(ctx context.Context) error {
	if c.Matched {
		return nil
	}
	evidence, err := json.Marshal(struct {
		Break  string `json:"break"`
		How    string `json:"how"`
		By     string `json:"by"`
		Reason string `json:"reason"`
	}{c.id().String(), c.how().String(), c.actor, c.decision.Reason})
	if err != nil {
		return fmt.Errorf("encoding evidence: %w", err)
	}
	c.MatchID, err = c.store.matchByHand(ctx, c.id(), string(evidence))
	return err
}

// how is what ends the break.
func (c *change) how() breaks.Resolution {
	if c.decision.Verb == breaks.Accept {
		return breaks.Accepted
	}
	return c.decision.How
}

// releaseMovements undoes the match by hand.
func (c *change) releaseMovements(ctx context.Context) error {
	if c.MatchID == nil {
		return nil
	}
	last, err := c.store.betweenRuns(ctx)
	if err != nil {
		return err
	}
	if err := c.store.openByHand(ctx, last.Number, *c.MatchID); err != nil {
		return err
	}
	c.MatchID = nil
	return nil
}

func parseBreakID(s string) (BreakID, error) {
	bid, err := id.Parse[breakKind](s)
	if err != nil {
		return bid, rpcerr.ForField(rpcerr.RequestInvalid, "break_id", "%v", err)
	}
	return bid, nil
}

func noBreak(bid BreakID, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return rpcerr.ForField(rpcerr.NotFound, "break_id", "there is no break %s", bid)
	}
	return fmt.Errorf("reading break: %w", err)
}

// lockBreak holds a break; NOT_FOUND when there is none.
func (s store) lockBreak(ctx context.Context, bid BreakID) (*broken, error) {
	row, err := s.q.LockBreak(ctx, bid.UUID())
	if err != nil {
		return nil, noBreak(bid, err)
	}
	return brokenOf(row), nil
}

// getBreak gives a break; NOT_FOUND when there is none.
func (s store) getBreak(ctx context.Context, bid BreakID) (*broken, error) {
	row, err := s.q.GetBreak(ctx, bid.UUID())
	if err != nil {
		return nil, noBreak(bid, err)
	}
	return brokenOf(row), nil
}

// setBreak writes down what became of a break that is held, with an event of its history.
func (s store) setBreak(ctx context.Context, c *change, verb breaks.Verb) error {
	c.LastEvent++
	err := s.q.SetBreak(ctx, reconciliationdb.SetBreakParams{
		ID: c.ID, State: int16(c.state), Resolution: int16(c.resolution), Assignee: c.Assignee, SnoozedUntil: c.SnoozedUntil, Note: c.Note,
		MatchID: c.MatchID, LastEvent: c.LastEvent,
	})
	if err != nil {
		return fmt.Errorf("writing break: %w", err)
	}
	detail, err := json.Marshal(c.detail)
	if err != nil {
		return fmt.Errorf("encoding detail: %w", err)
	}
	var h breakHistory
	h.add(c.ID, c.LastEvent, verb, detail)
	return h.write(ctx, s, c.actor, c.decision.Reason)
}

// matchByHand makes a match of the movements of a break; nil where it has none. BREAK_MOVEMENT_MATCHED where one of them is in
// another match, RUN_UNDER_WAY while a run looks at them.
func (s store) matchByHand(ctx context.Context, bid BreakID, evidence string) (*int64, error) {
	last, err := s.betweenRuns(ctx)
	if err != nil {
		return nil, err
	}
	made, err := s.q.InsertHandMatch(ctx, reconciliationdb.InsertHandMatchParams{BreakID: bid.UUID(), Evidence: evidence})
	if err != nil {
		return nil, fmt.Errorf("making match by hand: %w", err)
	}
	if made.Movements == 0 {
		return nil, nil //nolint:nilnil // a break without movements
	}
	if made.Elsewhere > 0 {
		return nil, rpcerr.New(rpcerr.BreakMovementMatched, "%d movements of %s are in another match", made.Elsewhere, bid)
	}
	return &made.MatchID, s.closeByHand(ctx, last.Number, made.MatchID)
}

func (s store) insertAction(ctx context.Context, actor, verb, target, reason string) error {
	err := s.q.InsertAction(ctx, reconciliationdb.InsertActionParams{
		ID: uuid.Must(uuid.NewV7()), Actor: actor, Verb: verb, Target: target, Reason: reason,
	})
	if err != nil {
		return fmt.Errorf("writing audit row: %w", err)
	}
	return nil
}
