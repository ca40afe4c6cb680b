package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	// maxJournals is how many journals and repairs one round carries out.
	maxJournals = 32
	// journalTimeout is how long one may take.
	journalTimeout = 20 * time.Second
)

// journalPoster posts journals in the ledger, each key once.
type journalPoster interface {
	postJournal(ctx context.Context, order journalOrder) (journalID string, err error)
}

// journalOrder is a journal to be posted.
type journalOrder struct {
	key  string // the same at every attempt
	kind string // "write_off" for what gives a balance of customer_receivable or suspense up, else "correction"
	// from is the ledger account that is credited, and to the one that is debited.
	from, to  string
	amount    money.Amount // more than zero
	reference string       // the break
	reason    string
}

// repairer drives on what caused a break, under a key that it may be given more than once, and says what it did.
type repairer func(ctx context.Context, b *brokenThing) (string, error)

// brokenThing is what a repairer is told of a break.
type brokenThing struct {
	key                         string // the same at every attempt
	breakID                     BreakID
	code                        breaks.Code
	subject, orderID, paymentID string
	detail                      string // JSON
	actor, reason               string // who wants it, and why
}

// The kinds of what is done because of a break, as the database has them.
const (
	journalWriteOff int16 = iota + 1
	journalRepost
	journalRepair
	journalReversal
)

// How far it is, as the database has it.
const (
	journalProposed int16 = iota + 1
	journalDue
	journalDone
	journalRejected
	journalRefused
)

// The ledger's accounts that a break is looked for in, and others that it may be booked against.
const (
	accountClearing   = "provider_clearing"
	accountBank       = "bank"
	accountReceivable = "customer_receivable"
	accountSuspense   = "suspense"
)

func isLedgerAccount(name string) bool {
	switch name {
	case accountClearing, accountBank, accountReceivable, accountSuspense, breaks.AccountWriteOffs, "revenue", "refunds", "fees":
		return true
	}
	return false
}

// breakJournal is what is done elsewhere because of a break.
type breakJournal struct {
	kind     int16
	from, to string
	amount   money.Amount
}

func journalKindOf(how breaks.Resolution) int16 {
	return map[breaks.Resolution]int16{breaks.WrittenOff: journalWriteOff, breaks.Reposted: journalRepost, breaks.Repaired: journalRepair}[how]
}

func resolutionOf(kind int16) breaks.Resolution {
	return [...]breaks.Resolution{0, breaks.WrittenOff, breaks.Reposted, breaks.Repaired, 0}[kind]
}

// planJournal says what would resolve a break as the decision has it, or why it cannot be.
func (r *reconciliation) planJournal(ctx context.Context, c *change) (breakJournal, error) {
	kind, _ := breaks.Describe(c.code)
	allowed := false
	for _, how := range kind.Resolutions {
		allowed = allowed || how == c.decision.How
	}
	switch {
	case !allowed:
		return breakJournal{}, rpcerr.New(rpcerr.BreakResolutionRefused, "%s is no end of %s", c.decision.How, c.code)
	case c.decision.How == breaks.Repaired && r.repairers[c.code] == nil:
		return breakJournal{}, rpcerr.New(rpcerr.BreakNotRepairable, "nothing here repairs %s", c.code)
	case c.decision.How == breaks.Repaired:
		return breakJournal{kind: journalRepair}, nil
	case r.poster == nil:
		return breakJournal{}, rpcerr.New(rpcerr.DestinationDown, "there is no ledger to post journals in")
	case c.amount.IsZero():
		return breakJournal{}, rpcerr.New(rpcerr.BreakResolutionRefused, "%s is about no money: accept it", c.id())
	}
	return c.book(ctx, kind)
}

// book says which accounts take the amount. Where theirs is more than ours, the account where the difference is has too little;
// a fee of theirs that is more is the reverse.
func (c *change) book(ctx context.Context, kind breaks.Kind) (breakJournal, error) {
	j := breakJournal{kind: journalKindOf(c.decision.How), to: c.decision.Account, from: c.decision.Against, amount: c.amount}
	if j.to == "" {
		at, err := c.store.q.StageOfBreak(ctx, c.ID)
		if err != nil {
			return j, fmt.Errorf("reading stage of break: %w", err)
		}
		j.to = map[stage]string{stageProvider: accountClearing, stageBank: accountBank}[stage(at)]
	}
	if j.to == "" {
		return j, rpcerr.ForField(rpcerr.RequestInvalid, "decision.account", "is required: the break has no movements that say it")
	}
	if j.from == "" {
		j.from = kind.Against
		if c.decision.How == breaks.WrittenOff {
			j.from = breaks.AccountWriteOffs
		}
	}
	if j.from == j.to {
		return j, rpcerr.ForField(rpcerr.RequestInvalid, "decision.against", "is the account itself")
	}
	if (j.amount.Minor < 0) != (c.code == breaks.FeeVariance) {
		j.from, j.to = j.to, j.from
	}
	if j.amount.Minor < 0 {
		var err error
		if j.amount, err = j.amount.Neg(); err != nil {
			return j, rpcerr.New(rpcerr.AmountOverflow, "the amount of %s has no opposite", c.id())
		}
	}
	return j, nil
}

// ask makes the intent durable. What needs no approval has the movements closed at once, so that no run matches them meanwhile.
func (c *change) ask(ctx context.Context, j breakJournal, propose bool) error {
	state := journalDue
	if propose {
		state = journalProposed
	}
	c.detail["how"] = c.decision.How.String()
	if j.kind != journalRepair {
		c.detail["amount"], c.detail["from"], c.detail["to"] = j.amount.String(), j.from, j.to
	}
	if !propose && j.kind != journalRepair {
		if err := c.closeMovements(ctx); err != nil {
			return err
		}
	}
	return c.insertJournal(ctx, j, state)
}

func (c *change) insertJournal(ctx context.Context, j breakJournal, state int16) error {
	earlier, err := c.store.q.ListBreakJournals(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("reading journals of break: %w", err)
	}
	number := int32(len(earlier) + 1)
	err = c.store.q.InsertBreakJournal(ctx, reconciliationdb.InsertBreakJournalParams{
		BreakID: c.ID, Number: number, Key: fmt.Sprintf("break/%s/%d", c.ID, number), Kind: j.kind, State: state,
		FromAccount: j.from, ToAccount: j.to, Currency: string(j.amount.Currency), AmountMinor: j.amount.Minor,
		Reason: c.decision.Reason, AskedBy: c.actor,
	})
	if err != nil {
		return fmt.Errorf("writing journal of break: %w", err)
	}
	return nil
}

// settleProposal lets what was proposed be done, or not. Who asked for it may take it back, and does not approve it.
//
// BUG(auth): who calls is what the caller claims, until callers are authenticated; the second person is as good as that.
func (c *change) settleProposal(ctx context.Context, approve bool) error {
	all, err := c.store.q.ListBreakJournals(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("reading journals of break: %w", err)
	}
	for _, j := range all {
		if j.State != journalProposed {
			continue
		}
		p := reconciliationdb.DecideBreakJournalParams{BreakID: c.ID, Number: j.Number, State: journalRejected}
		if approve {
			switch {
			case j.AskedBy == c.actor:
				return rpcerr.New(rpcerr.BreakSamePerson, "%s asked for it and cannot approve it", c.actor)
			case j.AmountMinor != max(c.AmountMinor, -c.AmountMinor) || j.Currency != c.Currency:
				return rpcerr.New(rpcerr.BreakStateRefused, "the amount of %s is another one since: reject it, and ask anew", c.id())
			}
			p.State, p.ApprovedBy, c.decision.How = journalDue, c.actor, resolutionOf(j.Kind)
			if err := c.closeMovements(ctx); err != nil {
				return err
			}
		}
		if err := c.store.q.DecideBreakJournal(ctx, p); err != nil {
			return fmt.Errorf("deciding on journal of break: %w", err)
		}
		return nil
	}
	return fmt.Errorf("%s waits for approval, and nothing of it does", c.id())
}

// takeBack has the journal that ended the break booked back.
func (c *change) takeBack(ctx context.Context) error {
	all, err := c.store.q.ListBreakJournals(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("reading journals of break: %w", err)
	}
	if len(all) == 0 {
		return nil
	}
	last := all[len(all)-1]
	if last.State != journalDone || last.Kind != journalWriteOff && last.Kind != journalRepost {
		return nil
	}
	amount := money.Amount{Currency: money.Currency(last.Currency), Minor: last.AmountMinor}
	return c.insertJournal(ctx, breakJournal{kind: journalReversal, from: last.ToAccount, to: last.FromAccount, amount: amount}, journalDue)
}

// postJournals carries out what is due: journals and repairs. Each is an intent that is durable, under a key that whoever does it
// takes once: what is done twice, or was done and not written down, has one effect.
func (r *reconciliation) postJournals(ctx context.Context) (again bool, err error) {
	due, err := newStore(r.pool).q.ClaimBreakJournals(ctx, maxJournals)
	if err != nil {
		return false, fmt.Errorf("claiming journals of breaks: %w", err)
	}
	for _, j := range due {
		result, err := r.carryOutJournal(ctx, j)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if refusal, ok := rpcerr.FromError(err); err == nil || ok && refusal.Definite() {
			err = r.endJournal(ctx, j, result, err)
		} else {
			err = errors.Join(err, r.noteJournal(ctx, j, err))
		}
		if err != nil { // of one; the others go on
			r.log.WarnContext(ctx, "a journal of a break is not posted yet", slog.String("break_id", BreakID(j.BreakID).String()), slog.Any("error", err))
		}
	}
	return len(due) == maxJournals, nil
}

func (r *reconciliation) noteJournal(ctx context.Context, j reconciliationdb.ClaimBreakJournalsRow, why error) error {
	return newStore(r.pool).q.NoteBreakJournal(ctx, reconciliationdb.NoteBreakJournalParams{BreakID: j.BreakID, Number: j.Number, Note: why.Error()})
}

// carryOutJournal posts a journal, or has a repair done, and says what came of it.
func (r *reconciliation) carryOutJournal(ctx context.Context, j reconciliationdb.ClaimBreakJournalsRow) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	if j.Kind == journalRepair {
		b, err := newStore(r.pool).getBreak(ctx, BreakID(j.BreakID))
		if err != nil {
			return "", err
		}
		repair := r.repairers[b.code]
		if repair == nil {
			return "", rpcerr.New(rpcerr.BreakNotRepairable, "nothing here repairs %s", b.code)
		}
		return repair(ctx, &brokenThing{
			key: j.Key, breakID: b.id(), code: b.code, subject: b.Subject, orderID: b.OrderID, paymentID: b.PaymentID, detail: string(b.Detail),
			actor: j.AskedBy, reason: j.Reason,
		})
	}
	if r.poster == nil {
		return "", errors.New("there is no ledger to post journals in")
	}
	o := journalOrder{
		key: j.Key, kind: "correction", from: j.FromAccount, to: j.ToAccount, reference: BreakID(j.BreakID).String(), reason: j.Reason,
		amount: money.Amount{Currency: money.Currency(j.Currency), Minor: j.AmountMinor},
	}
	if j.Kind == journalWriteOff && o.to == breaks.AccountWriteOffs && (o.from == accountReceivable || o.from == accountSuspense) {
		o.kind = "write_off"
	}
	return r.poster.postJournal(ctx, o)
}

// endJournal writes down what came of a journal or a repair, and ends the break that waits for it; refused for good, the break is
// a person's again.
func (r *reconciliation) endJournal(ctx context.Context, j reconciliationdb.ClaimBreakJournalsRow, result string, refusal error) error {
	verb, p := breaks.Finish, reconciliationdb.EndBreakJournalParams{BreakID: j.BreakID, Number: j.Number, State: journalDone, Result: result}
	if refusal != nil {
		verb, p.State, p.Note, result = breaks.Fail, journalRefused, refusal.Error(), refusal.Error()
	}
	return pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		held, err := st.lockBreak(ctx, BreakID(j.BreakID))
		if err != nil {
			return err
		}
		n, err := st.q.EndBreakJournal(ctx, p)
		if err != nil || n == 0 { // another replica was faster
			return err
		}
		c := &change{
			broken: held, store: st, actor: serviceName, decision: breakDecision{Reason: result}, detail: map[string]string{"result": result, "key": j.Key},
		}
		if refusal != nil {
			c.Note = serviceName + ": " + result
		}
		if j.Kind != journalReversal {
			if err := c.end(ctx, verb, j.Kind, result); err != nil {
				return err
			}
		}
		if err := st.setBreak(ctx, c, verb); err != nil {
			return err
		}
		return r.outbox.Write(ctx, tx, c.events...)
	})
}

// end ends a break that waits for a journal or a repair, or gives it back.
func (c *change) end(ctx context.Context, verb breaks.Verb, kind int16, result string) error {
	to, ok := breaks.Next(c.state, c.resolution, verb)
	if !ok {
		return fmt.Errorf("%s: %s", c.id(), breaks.Refusal(c.state, verb))
	}
	c.state = to
	if verb == breaks.Fail {
		return c.releaseMovements(ctx)
	}
	c.resolution = resolutionOf(kind)
	c.events = append(c.events, eventBreakResolved(c.ID, c.Code, c.OrderID, c.resolution, result))
	return nil
}
