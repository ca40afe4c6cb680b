package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

// beginNew writes the intents of charges and authorizations: payments, each with its operation marked as sent.
func (s *payments) beginNew(ctx context.Context, tx *pg.Tx, batch []*command) ([]begun, error) {
	return s.begin(ctx, tx, batch, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
		now, made, intents := time.Now(), make([]*payment, len(fresh)), make([]idem.Intent, len(fresh))
		for n, i := range fresh {
			made[n] = s.intend(batch[i], now)
			intents[n].Resource = made[n].ID.String()
		}
		insert(tx, made)
		return intents, nil
	})
}

// heldBack refuses n new requests for now, while the breaker lets nothing through: nothing is written of them, so that
// nobody waits for a commit. Nil otherwise.
func (s *payments) heldBack(n int) []idem.Intent {
	if state := s.provider.Breaker().State(); state != provider.BreakerOpen && state != provider.BreakerForcedOpen {
		return nil
	}
	intents := make([]idem.Intent, n)
	for i := range intents {
		intents[i].Err = providerDown()
	}
	return intents
}

// intend makes the payment that a command asks for.
func (s *payments) intend(c *command, now time.Time) *payment {
	if c.begun.IsZero() { // a transaction that got no answer may have written it before
		c.begun = now
	}
	op := opens[c.method]
	key := c.providerKey(op)
	pid := id.New[paymentKind]()
	c.payment = &payment{
		ID: pid, State: map[provider.Op]state{provider.Charge: capturing, provider.Authorize: authorizing}[op],
		Amount: c.amount, Method: c.paymentMethod, CustomerID: c.customerID, Reference: c.reference, ProviderKey: key,
		Last: operation{Payment: pid, Seq: 1, Op: op, State: opSent, Amount: c.amount, Key: key, Sends: 1, lookIn: s.lease()},
	}
	return c.payment
}

// beginFurther writes the intents of what is done to payments: of those that can be done at once, an operation each,
// marked as sent.
func (s *payments) beginFurther(ctx context.Context, tx *pg.Tx, batch []*command) ([]begun, error) {
	return s.begin(ctx, tx, batch, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
		targets, err := s.targets(ctx, tx, batch, fresh)
		if err != nil {
			return nil, err
		}
		intents := make([]idem.Intent, len(fresh))
		var on []*command
		for n, i := range fresh {
			c := batch[i]
			c.payment, c.begun = nil, time.Time{}
			if targets[n].IsZero() {
				intents[n].Err = c.missing()
				continue
			}
			intents[n].Resource, c.payment = targets[n].String(), &payment{ID: targets[n]}
			on = append(on, c)
		}
		refusals, err := s.advance(ctx, tx, on)
		if err != nil {
			return nil, err
		}
		for n, i := range fresh {
			if c := batch[i]; c.payment != nil && intents[n].Err == nil {
				intents[n].Err = refusals[c]
			}
		}
		return intents, nil
	})
}

// missing says that there is no payment as named.
func (c *command) missing() error {
	if c.paymentID != "" {
		return rpcerr.ForField(rpcerr.NotFound, "payment_id", "there is no payment %.128q", c.paymentID)
	}
	return rpcerr.ForField(rpcerr.NotFound, "authorization_key", "nothing was authorized under %.255q", c.authorizedWith)
}

// targets gives the payments that fresh commands are about; zero for one that is not there.
func (s *payments) targets(ctx context.Context, tx *pg.Tx, batch []*command, fresh []int) ([]PaymentID, error) {
	targets := make([]PaymentID, len(fresh))
	var keys []string
	var ids []uuid.UUID
	for n, i := range fresh {
		if c := batch[i]; c.authorizedWith != "" {
			keys = append(keys, derived(c.caller, string(methodAuthorize), c.authorizedWith))
		} else if pid, err := id.Parse[paymentKind](c.paymentID); err == nil {
			targets[n] = pid
			ids = append(ids, pid.UUID())
		}
	}
	if len(ids)+len(keys) == 0 {
		return targets, nil
	}
	there, byKey, err := newStore(tx).known(ctx, ids, keys)
	if err != nil {
		return nil, err
	}
	for n, i := range fresh {
		if c := batch[i]; c.authorizedWith != "" {
			targets[n] = byKey[derived(c.caller, string(methodAuthorize), c.authorizedWith)]
		} else if !there[targets[n]] {
			targets[n] = PaymentID{}
		}
	}
	return targets, nil
}

// advance has commands on payments take their next step, as far as it is a write: an operation marked as sent. It
// fills in the payments as they are then, and gives the refusals. A command whose payment has an open operation stays
// where it is.
func (s *payments) advance(ctx context.Context, tx *pg.Tx, commands []*command) (map[*command]error, error) {
	ids := make([]PaymentID, len(commands))
	for i, c := range commands {
		ids[i] = c.payment.ID
	}
	st := newStore(tx)
	now, err := st.lock(ctx, ids)
	if err != nil {
		return nil, err
	}
	can, refusals := s.provider.Capabilities(), map[*command]error{}
	var superseded, made []*payment
	var actions []action
	for _, c := range commands {
		p := now[c.payment.ID]
		c.payment = &p
		if p.Last.State.open() || c.asked(p.Last) {
			continue
		}
		next := c.plan(p, can)
		if refusals[c] = next.refusal; next.op == "" {
			continue
		}
		if p.Last.State == opCreated { // it never left, and will not any more
			was := p
			was.Last.State = opAbandoned
			superseded = append(superseded, &was)
		}
		if err := c.take(&p, next, s.lease()); err != nil {
			return nil, err
		}
		now[p.ID] = p // what comes after it in the batch finds it open
		made = append(made, &p)
		if c.byOperator() {
			actions = append(actions, action{actor: c.caller, verb: string(next.op), reason: c.reason, payment: p.ID, seq: p.Last.Seq})
		}
	}
	insert(tx, made, superseded...)
	return refusals, st.insertActions(ctx, actions)
}

// take makes a step's operation the payment's last, marked as sent.
func (c *command) take(p *payment, next step, lookIn time.Duration) error {
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	p.Last = operation{
		Payment: p.ID, Seq: p.Last.Seq + 1, Op: next.op, State: opSent, Amount: next.amount, Key: c.keyFor(next.op, next.amount),
		Sends: 1, ByOperator: c.byOperator(), lookIn: lookIn,
	}
	c.payment = p
	if next.op != provider.Capture {
		return nil
	}
	var err error
	p.State, err = p.State.after(changeSendCapture)
	return err
}

// begin writes the intents of a batch, and completes those that are resumed with their payments.
func (s *payments) begin(ctx context.Context, tx *pg.Tx, batch []*command,
	intend func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error),
) ([]begun, error) {
	results, err := idem.BeginAll[*payment](ctx, tx, openings(batch), s.lease(),
		func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
			if held := s.heldBack(len(fresh)); held != nil {
				return held, nil
			}
			return intend(ctx, tx, fresh)
		})
	if err != nil {
		return nil, err
	}
	return results, s.complete(ctx, tx, batch, results)
}

// beginUndo writes the intents of what undoes payments: their requests are buried.
func (s *payments) beginUndo(ctx context.Context, tx *pg.Tx, batch []*command) ([]begun, error) {
	results, err := idem.BeginUndoAll[*payment](ctx, tx, openings(batch), s.lease())
	if err != nil {
		return nil, err
	}
	if err := s.complete(ctx, tx, batch, results); err != nil {
		return nil, err
	}
	var fresh []*command
	for i, r := range results {
		if c := batch[i]; r.Value.Claim != nil && !r.Value.Claim.Resumed && c.payment != nil {
			fresh = append(fresh, c)
		}
	}
	_, err = s.advance(ctx, tx, fresh) // nothing is refused that undoes
	return results, err
}

// complete reads the payments of claims, but for those that the batch itself, also when it is applied again after a COMMIT
// without an answer, has filled in.
func (s *payments) complete(ctx context.Context, tx *pg.Tx, batch []*command, results []begun) error {
	var ids []PaymentID
	of := map[int]PaymentID{}
	for i, r := range results {
		claim := r.Value.Claim
		known := batch[i].payment
		if claim == nil || !claim.Resumed && known != nil && known.ID.String() == claim.Resource {
			continue
		}
		batch[i].payment, batch[i].begun = nil, time.Time{}
		if claim.Resource == "" {
			continue
		}
		pid, err := id.Parse[paymentKind](claim.Resource)
		if err != nil {
			return fmt.Errorf("reading what a request is about: %w", err)
		}
		ids, of[i] = append(ids, pid), pid
	}
	found, err := newStore(tx).get(ctx, ids...)
	if err != nil {
		return err
	}
	for i, pid := range of {
		p, there := found[pid]
		if !there {
			return fmt.Errorf("there is no payment %s", pid)
		}
		batch[i].payment = &p
	}
	return nil
}
