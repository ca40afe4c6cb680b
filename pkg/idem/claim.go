package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// ErrClaimLost says that the claim's lease ended and another request resumed the work, or undid it: what this one
// would have written is not written.
var ErrClaimLost = errors.New("another request resumed the work")

// Opening is a request that calls somebody else between two transactions.
type Opening struct {
	Request
	// Token tells this sending of the request from every other one. It is made before the batch, so that a batch
	// that is applied again finds its own claims.
	Token uuid.UUID
	// Of is the request that this one undoes, under BeginUndoAll. Its fields do not count, and its epoch is that of
	// its undoing.
	Of Request
}

// Claim is the right to work on a request in flight. It ends with EndAll, or when its lease does.
type Claim struct {
	// Resource is what the intent made, by id: at the first request, or at the one that is resumed. Of one that
	// undoes another it is what that one had made; empty when it was never seen, or was refused before its intent.
	Resource string
	// Resumed is true when an earlier request began and did not finish: what it called may have happened.
	Resumed bool

	request Request
	token   uuid.UUID
	attempt int32
}

// Begun is how a request that calls somebody else begins: with a claim, or with what was answered before.
type Begun[A any] struct {
	Answer[A]
	// Claim is set when the request is to be worked on.
	Claim *Claim
	// Busy is set when another request under the key is being worked on. The error is then IDEMPOTENCY_KEY_IN_FLIGHT;
	// it is worth waiting for.
	Busy bool
}

// Intent is what a use case intends for one request of a batch.
type Intent struct {
	// Resource is what was made, by id.
	Resource string
	// Err is set when there is nothing to be called for. A definite refusal is stored, as under OnceAll.
	Err error
}

// BeginAll opens use cases that call somebody else between two transactions, in the first one, as the Apply of a
// groupcommit.Group. Intend runs for the fresh ones, once per request, given by their index in ascending order; what
// it writes is durable with the claims. A request whose lease has ended is resumed, without an intent. One that
// somebody else is working on is not waited for.
//
// The lease must be longer than the call that follows may take.
func BeginAll[A any](ctx context.Context, tx *pg.Tx, openings []Opening, lease time.Duration,
	intend func(ctx context.Context, tx *pg.Tx, fresh []int) ([]Intent, error),
) ([]groupcommit.Result[Begun[A]], error) {
	b, err := openClaims[A](ctx, tx, openings, lease)
	if err != nil {
		return nil, err
	}
	var intents []Intent
	if len(b.fresh) > 0 {
		if intents, err = intend(ctx, tx, b.fresh); err != nil {
			return nil, err
		}
	}
	records, err := b.settle(intents)
	if err != nil {
		return nil, err
	}
	insertAll(tx, records)
	return b.begun(), nil
}

// BeginUndoAll is BeginAll for compensations, which intend nothing but to undo their step: it becomes a tombstone,
// and the claim's resource is what it had made. A step that somebody is working on at this moment is not undone:
// IDEMPOTENCY_KEY_IN_FLIGHT, which is not stored. Rows are locked in the order of UndoAll.
func BeginUndoAll[A any](ctx context.Context, tx *pg.Tx, openings []Opening, lease time.Duration) ([]groupcommit.Result[Begun[A]], error) {
	b, err := openClaims[A](ctx, tx, openings, lease)
	if err != nil {
		return nil, err
	}
	steps := make([]Request, len(openings))
	for i, o := range openings {
		steps[i] = o.Of
	}
	known, err := b.holdSteps(ctx, tx, steps)
	if err != nil {
		return nil, err
	}
	var intents []Intent
	var undone []Request
	for _, i := range b.fresh {
		intents = append(intents, Intent{Resource: known[steps[i].name()].resource})
		undone = append(undone, steps[i])
	}
	records, err := b.settle(intents)
	if err != nil {
		return nil, err
	}
	return b.begun(), bury(ctx, tx, records, undone, known)
}

// claims is a batch whose requests end later.
type claims[A any] struct {
	*batch[A]
	openings []Opening
	lease    time.Duration
	taken    []*Claim // nil where there is none
}

// openClaims reads what is known of the requests, gives what was given before, and resumes what nobody works on.
func openClaims[A any](ctx context.Context, tx *pg.Tx, openings []Opening, lease time.Duration) (*claims[A], error) {
	requests := make([]Request, len(openings))
	for i, o := range openings {
		if requests[i] = o.Request; o.Token == uuid.Nil {
			return nil, errors.New("an opening has no token")
		}
	}
	known, err := look(ctx, tx, requests, func(i int, w row) bool {
		return w.state == inFlight && (!w.leased || w.claim == openings[i].Token)
	})
	if err != nil {
		return nil, err
	}
	b := &claims[A]{newBatch[A](requests), openings, lease, make([]*Claim, len(openings))}
	var resumed []record
	for i, r := range b.requests {
		w, found := known[r.name()]
		if !found {
			b.begin(i)
			continue
		}
		token := openings[i].Token
		if w.state == inFlight && !w.leased && w.verdict(r) == nil {
			w.claim, w.leased, w.attempt = token, true, w.attempt+1
			known[r.name()] = w
			resumed = append(resumed, record{r, w, lease})
		}
		if w.state == inFlight && w.claim == token && w.verdict(r) == nil {
			b.taken[i] = &Claim{Resource: w.resource, Resumed: w.attempt > 1, request: r, token: token, attempt: w.attempt}
		} else if err := b.meet(i, w); err != nil {
			return nil, err
		}
	}
	if err := countReplays(ctx, tx, b.replayed()); err != nil {
		return nil, err
	}
	return b, resumeAll(ctx, tx, resumed)
}

// settle makes claims of intents, and gives what is to be stored.
func (b *claims[A]) settle(intents []Intent) ([]record, error) {
	outcomes := make([]Outcome[A], len(intents))
	for n, in := range intents {
		outcomes[n] = Outcome[A]{Resource: in.Resource, Err: in.Err}
	}
	return b.batch.settle(outcomes, func(o Outcome[A], r Request) (record, bool, error) {
		if o.Err != nil {
			return o.record(r)
		}
		i := b.first[r.name()]
		token := b.openings[i].Token
		b.taken[i] = &Claim{Resource: o.Resource, request: r, token: token, attempt: 1}
		w := row{fingerprint: r.fingerprint(), state: inFlight, resource: o.Resource, claim: token, epoch: r.Epoch}
		return record{r, w, b.lease}, true, nil
	})
}

func (b *claims[A]) begun() []groupcommit.Result[Begun[A]] {
	results := make([]groupcommit.Result[Begun[A]], len(b.results))
	for i, r := range b.results {
		results[i].Err = r.Err
		results[i].Value = Begun[A]{Answer: r.Value, Claim: b.taken[i], Busy: b.busy[i]}
	}
	return results
}

// Ending is a claim that is to end.
type Ending struct {
	*Claim
	// GiveBack, when set, ends it without an outcome, which is not known: this is what the request is answered, and the
	// next one resumes it at once.
	GiveBack error
}

// EndAll ends claims in one transaction, as the Apply of a groupcommit.Group. Write is given those that are still
// held, by their index in ascending order, and gives an outcome for each; unlike under OnceAll, what it wrote stays
// with a definite refusal too, and with a claim that is given back. An outcome with any other error gives the claim back:
// nobody works on it any more, so the next request need not wait for its lease to end. Of a claim that was lost nothing
// is written: ErrClaimLost.
//
// A claim that an earlier run of EndAll ended in the same way is answered as it was then, so that a batch whose COMMIT
// got no answer can be applied again.
func EndAll[A any](ctx context.Context, tx *pg.Tx, endings []Ending,
	write func(ctx context.Context, tx *pg.Tx, held []int) ([]Outcome[A], error),
) ([]groupcommit.Result[A], error) {
	requests := make([]Request, len(endings))
	for i, e := range endings {
		requests[i] = e.request
	}
	known, err := findAll(ctx, tx, requests, true)
	if err != nil {
		return nil, err
	}
	results := make([]groupcommit.Result[A], len(endings))
	var held []int
	for i, e := range endings {
		w := known[e.request.name()]
		if w.state == inFlight && w.attempt == e.attempt && w.claim == e.token {
			held = append(held, i)
		} else if results[i], err = ended[A](w, e); err != nil {
			return nil, err
		}
	}
	if len(held) == 0 {
		return results, nil
	}
	outcomes, err := write(ctx, tx, held)
	if err != nil {
		return nil, err
	}
	if len(outcomes) != len(held) {
		return nil, fmt.Errorf("%d outcomes for %d claims", len(outcomes), len(held))
	}
	var records []record
	for n, i := range held {
		o, r := outcomes[n], endings[i].request
		w, definite, err := o.record(r)
		if err != nil {
			return nil, err
		}
		if giveBack := endings[i].GiveBack; o.Err == nil && giveBack != nil {
			o.Err, definite = giveBack, false
		}
		if !definite {
			w = record{request: r, row: row{state: inFlight}}
		}
		results[i] = groupcommit.Result[A]{Value: o.Answer, Err: o.Err}
		records = append(records, w)
	}
	return results, endRows(ctx, tx, records)
}

// ended is the result of a claim that is not held any more: what it ended with itself, or that it was lost.
func ended[A any](w row, e Ending) (groupcommit.Result[A], error) {
	var was groupcommit.Result[A]
	finished := (w.state == done || w.state == refused) && w.claim == e.token
	switch givenBack := w.state == inFlight && w.claim == uuid.Nil; {
	case w.attempt != e.attempt || !finished && !givenBack || givenBack && e.GiveBack == nil:
		was.Err = ErrClaimLost
	case givenBack:
		was.Err = e.GiveBack
	case w.state == done:
		if err := json.Unmarshal(w.answer, &was.Value); err != nil {
			return was, fmt.Errorf("decoding stored answer: %w", err)
		}
	default:
		stored := &rpcerr.Error{}
		if err := json.Unmarshal(w.answer, stored); err != nil {
			return was, fmt.Errorf("decoding stored refusal: %w", err)
		}
		was.Err = stored
	}
	return was, nil
}
