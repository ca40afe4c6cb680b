package idem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Answer is what a request of a batch is answered. Together with an error only Replayed counts.
type Answer[A any] struct {
	Value A
	// Replayed is true when the answer, or the refusal, was given before. See MarkReplayed.
	Replayed bool
}

// IsReplay tells whether nothing was done.
func (a Answer[A]) IsReplay() bool { return a.Replayed }

// Outcome is what a use case makes of one request of a batch.
type Outcome[A any] struct {
	Answer A
	// Resource is what was made, by id; it may be empty.
	Resource string
	// Err is set when the request is not done, and nothing was written for it. A definite refusal (an rpcerr.Error
	// that says so) is stored and given again; any other is only given.
	Err error
}

// record is what is stored of an outcome, if anything.
func (o Outcome[A]) record(r Request) (record, bool, error) {
	w, content := row{fingerprint: r.fingerprint(), state: done, resource: o.Resource, epoch: r.Epoch}, any(o.Answer)
	if o.Err != nil {
		refusal, ok := errors.AsType[*rpcerr.Error](o.Err)
		if !ok || !refusal.Definite() {
			return record{}, false, nil
		}
		w.state, w.resource, content = refused, "", refusal
	}
	var err error
	if w.answer, err = json.Marshal(content); err != nil {
		return record{}, false, fmt.Errorf("encoding answer: %w", err)
	}
	return record{request: r, row: w}, true, nil
}

// OnceAll is Once for many requests in one transaction, as the Apply of a groupcommit.Group. Run does the fresh ones,
// given by their index in ascending order, and gives an outcome for each. A request that comes twice runs once, and
// the second gets the answer of the first as a replay. An error of OnceAll fails the whole batch.
func OnceAll[A any](ctx context.Context, tx *pg.Tx, requests []Request,
	run func(ctx context.Context, tx *pg.Tx, fresh []int) ([]Outcome[A], error),
) ([]groupcommit.Result[Answer[A]], error) {
	b, err := open[A](ctx, tx, requests)
	if err != nil || len(b.fresh) == 0 {
		return b.results, err
	}
	outcomes, err := run(ctx, tx, b.fresh)
	if err != nil {
		return nil, err
	}
	records, err := b.settle(outcomes, Outcome[A].record)
	if err != nil {
		return nil, err
	}
	insertAll(tx, records)
	return b.results, nil
}

// Undo is a request that undoes another one: the compensation of a step.
type Undo struct {
	Request
	// Of is the step's request. Its fields do not count, and its epoch is that of its undoing.
	Of Request
}

// UndoAll is OnceAll for compensations. Run is also told what each fresh one is to undo: the resource that the step
// had made, empty when the step was never seen or was refused. The step of what is done becomes a tombstone, as by
// Bury; what is refused leaves it alone. A step that somebody is working on at this moment is not undone:
// IDEMPOTENCY_KEY_IN_FLIGHT, which is not stored.
//
// Steps that were seen are locked before run, and the tombstones of those that were not are written after it, with
// the answers: so a step and its compensation, which lock in between what the service keeps, do not wait for each
// other in a circle. For the same reason rows whose epoch rises are locked first of all, compensations before steps.
func UndoAll[A any](ctx context.Context, tx *pg.Tx, undos []Undo,
	run func(ctx context.Context, tx *pg.Tx, fresh []int, made []string) ([]Outcome[A], error),
) ([]groupcommit.Result[Answer[A]], error) {
	requests, steps := make([]Request, len(undos)), make([]Request, len(undos))
	for i, u := range undos {
		requests[i], steps[i] = u.Request, u.Of
	}
	b, err := open[A](ctx, tx, requests)
	if err != nil || len(b.fresh) == 0 {
		return b.results, err
	}
	known, err := b.holdSteps(ctx, tx, steps)
	if err != nil {
		return nil, err
	}
	made := make([]string, len(b.fresh))
	for n, i := range b.fresh {
		made[n] = known[steps[i].name()].resource
	}
	var outcomes []Outcome[A]
	if len(b.fresh) > 0 {
		if outcomes, err = run(ctx, tx, b.fresh, made); err != nil {
			return nil, err
		}
	}
	records, err := b.settle(outcomes, Outcome[A].record)
	if err != nil {
		return nil, err
	}
	var undone []Request
	for n, i := range b.fresh {
		if outcomes[n].Err == nil {
			undone = append(undone, steps[i])
		}
	}
	return b.results, bury(ctx, tx, records, undone, known)
}

// bury writes records, and a tombstone for each request; known are the rows of those that were seen, held.
func bury(ctx context.Context, tx *pg.Tx, records []record, requests []Request, known map[name]row) error {
	var seen []Request
	twice := map[name]bool{}
	for _, r := range requests {
		w, found := known[r.name()]
		switch {
		case twice[r.name()] || w.state == tombstone:
		case found:
			seen = append(seen, r)
		default: // never seen, and so without a fingerprint
			records = append(records, record{request: r, row: row{fingerprint: []byte{}, state: tombstone}})
		}
		twice[r.name()] = true
	}
	if insertAll(tx, records); len(seen) == 0 {
		return nil
	}
	callers, methods, keys := names(seen)
	// They are there, so that none is inserted; this way each is found through the primary key, whatever the plan.
	_, err := tx.Later().Exec(ctx, `
INSERT INTO idem (caller, method, key, fingerprint, state)
SELECT caller, method, key, '', $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS n (caller, method, key)
    ON CONFLICT (caller, method, key) DO UPDATE SET state = excluded.state, lease_until = NULL`,
		callers, methods, keys, tombstone)
	if err != nil {
		return fmt.Errorf("burying idempotency rows: %w", err)
	}
	return nil
}

// batch is requests on the way to their results.
type batch[A any] struct {
	requests []Request
	results  []groupcommit.Result[Answer[A]]
	busy     []bool       // somebody else is working on it
	fresh    []int        // to be run
	twins    []int        // of one that is to be run
	first    map[name]int // the one that is to be run
}

// open reads what is known of the requests, and gives what was given before.
func open[A any](ctx context.Context, tx *pg.Tx, requests []Request) (*batch[A], error) {
	known, err := look(ctx, tx, requests, func(int, row) bool { return false })
	if err != nil {
		return &batch[A]{}, err
	}
	b := newBatch[A](requests)
	for i, r := range b.requests {
		if w, found := known[r.name()]; !found {
			b.begin(i)
		} else if err := b.meet(i, w); err != nil {
			return b, err
		}
	}
	return b, countReplays(ctx, tx, b.replayed())
}

func newBatch[A any](requests []Request) *batch[A] {
	return &batch[A]{
		requests: slices.Clone(requests), results: make([]groupcommit.Result[Answer[A]], len(requests)),
		busy: make([]bool, len(requests)), first: map[name]int{},
	}
}

// begin takes in a request without a row: the first under its key is to be run, with the highest epoch of all.
func (b *batch[A]) begin(i int) {
	r := b.requests[i]
	if first, running := b.first[r.name()]; running {
		b.twins = append(b.twins, i)
		b.requests[first].Epoch = max(b.requests[first].Epoch, r.Epoch)
		return
	}
	b.first[r.name()] = i
	b.fresh = append(b.fresh, i)
}

// meet gives a request what its row says.
func (b *batch[A]) meet(i int, w row) (err error) {
	r := b.requests[i]
	if w.state == inFlight {
		if b.results[i].Err = w.verdict(r); b.results[i].Err == nil {
			b.results[i].Err, b.busy[i] = InFlight(r.Method), true
		}
		return nil
	}
	answer := &b.results[i].Value
	answer.Replayed, b.results[i].Err, err = w.replay(r, &answer.Value)
	return err
}

// replayed are the requests that were given what their rows keep.
func (b *batch[A]) replayed() []Request {
	var all []Request
	for i, r := range b.results {
		if r.Value.Replayed {
			all = append(all, b.requests[i])
		}
	}
	return all
}

// holdSteps gives the rows of the steps to be undone, and drops what cannot be undone now. The steps get the epochs
// of what undoes them.
func (b *batch[A]) holdSteps(ctx context.Context, tx *pg.Tx, steps []Request) (map[name]row, error) {
	of := make([]Request, len(b.fresh))
	for n, i := range b.fresh {
		steps[i].Epoch = b.requests[i].Epoch
		of[n] = steps[i]
	}
	known, err := hold(ctx, tx, of)
	if err != nil {
		return nil, err
	}
	b.fresh = slices.DeleteFunc(b.fresh, func(i int) bool {
		w := known[steps[i].name()]
		if err := w.stale(b.requests[i]); err != nil {
			b.results[i].Err = err
		} else if w.state == inFlight && w.leased {
			b.results[i].Err = InFlight(steps[i].Method)
		}
		return b.results[i].Err != nil
	})
	return known, nil
}

// settle makes results of the outcomes of the fresh requests, and gives what is to be stored of them, if anything; the
// replays of their twins are counted in it.
func (b *batch[A]) settle(outcomes []Outcome[A], store func(Outcome[A], Request) (record, bool, error)) ([]record, error) {
	if len(outcomes) != len(b.fresh) {
		return nil, fmt.Errorf("%d outcomes for %d requests", len(outcomes), len(b.fresh))
	}
	var records []record
	stored := map[name]int{}
	for n, i := range b.fresh {
		o, r := outcomes[n], b.requests[i]
		b.results[i] = groupcommit.Result[Answer[A]]{Value: Answer[A]{Value: o.Answer}, Err: o.Err}
		written, ok, err := store(o, r)
		if err != nil {
			return nil, err
		}
		if ok {
			stored[r.name()] = len(records)
			records = append(records, written)
		}
	}
	for _, i := range b.twins {
		at, ok := stored[b.requests[i].name()]
		if !ok {
			b.results[i] = b.results[b.first[b.requests[i].name()]]
			continue
		}
		if err := b.meet(i, records[at].row); err != nil {
			return nil, err
		}
		if b.results[i].Value.Replayed {
			records[at].row.replays++
		}
	}
	return records, nil
}
