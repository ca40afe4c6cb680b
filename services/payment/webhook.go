package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/payment/provider"
)

const (
	// WebhookPath is where the provider sends its webhooks, of the process' HTTP server.
	WebhookPath = "/webhooks/payment"
	// maxWebhook bounds a webhook's body, in bytes.
	maxWebhook = 64 << 10
	// webhookTimeout is how long a webhook may take to arrive, and to be written.
	webhookTimeout = 10 * time.Second
	// applyEvery is how soon a webhook is applied that nobody was woken for.
	applyEvery = 5 * time.Second
)

// intake takes in what the provider tells of its own accord: each event once, and durable before it is acknowledged.
// What it means is worked out afterwards, by applyWebhooks, unless it is known already.
type intake struct {
	provider provider.Provider
	name     string // of the provider
	group    *groupcommit.Group[provider.Event, struct{}]
	log      *slog.Logger
	received periodic.Bell // wakes whoever applies what is new
}

func newIntake(env *service.Env, account provider.Account, received periodic.Bell) (*intake, error) {
	in := &intake{provider: account, name: account.Name(), log: env.Log, received: received}
	cfg := service.GroupConfig(env, "webhook", in.receive)
	cfg.Gap = receiveGap
	var err error
	if in.group, err = groupcommit.New(cfg); err != nil {
		return nil, err
	}
	env.Go("group commit of webhook", in.group.Run)
	return in, nil
}

// ServeHTTP implements http.Handler. Who gets no 2xx sends again.
func (in *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), webhookTimeout)
	defer cancel()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(webhookTimeout)) // a server without deadlines has the context's
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		code := http.StatusBadRequest
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			code = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body cannot be read", code)
		return
	}
	event, err := in.provider.VerifyWebhook(r.Header, body, time.Now())
	if err != nil {
		in.log.WarnContext(ctx, "webhook is refused", slog.String("provider", in.name), slog.Any("error", err))
		http.Error(w, refusedWebhook(err), http.StatusBadRequest)
		return
	}
	if _, err := in.group.Do(ctx, event); err != nil {
		in.log.ErrorContext(ctx, "webhook is not taken in", slog.String("event_id", event.ID), slog.Any("error", err))
		http.Error(w, "not taken in; send it again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refusedWebhook says no more than the sender of a webhook may know.
func refusedWebhook(err error) string {
	switch {
	case errors.Is(err, provider.ErrForged):
		return "the signature is not right"
	case errors.Is(err, provider.ErrStale):
		return "it was signed too long ago"
	}
	return "it cannot be understood"
}

// receive writes webhooks, each event once. What tells what is known, as nearly all do, is written as put by; the rest is left
// for applyWebhooks. Nothing needs to be held for that: an operation that has happened or was declined stays so with its
// amount, whatever else becomes of its payment, so what was known once is known for good; and what is decided while
// this is written is still received.
func (in *intake) receive(ctx context.Context, tx *pg.Tx, batch []provider.Event) ([]groupcommit.Result[struct{}], error) {
	known, err := newStore(tx).knows(ctx, batch)
	if err != nil {
		return nil, err
	}
	var ids []string
	var events []json.RawMessage
	var states []int16
	for i, e := range batch {
		encoded, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding webhook: %w", err)
		}
		state := webhookReceived
		if known[i] {
			state = wasKnown.state
		}
		ids, events, states = append(ids, e.ID), append(events, encoded), append(states, state)
	}
	_, err = tx.Exec(ctx, `
INSERT INTO webhook (provider, event_id, event, state, detail, applied_at)
SELECT $1, id, event, state, CASE state WHEN 1 THEN '' ELSE $5 END, CASE state WHEN 1 THEN NULL ELSE now() END
  FROM unnest($2::text[], $3::jsonb[], $4::smallint[]) AS e (id, event, state)
    ON CONFLICT DO NOTHING`, in.name, ids, events, states, wasKnown.detail)
	if err != nil {
		return nil, fmt.Errorf("writing webhooks: %w", err)
	}
	if slices.Contains(known, false) {
		tx.AfterCommit(in.received.Ring)
	}
	return make([]groupcommit.Result[struct{}], len(batch)), nil
}

// What came of a webhook, as in the database.
const (
	webhookReceived    int16 = 1 // it is to be applied, or something has to come before it
	webhookApplied     int16 = 2
	webhookNothingNew  int16 = 3
	webhookContradicts int16 = 4
)

// verdict is what came of a webhook.
type verdict struct {
	state  int16
	detail string
}

const (
	// webhookBatch is how many webhooks are applied at once, and webhookGap how long those that come behind each other
	// gather: many tell what becomes known meanwhile, and looking costs as much as many of them.
	webhookBatch = 256
	webhookGap   = 100 * time.Millisecond
	// receiveGap is how long webhooks gather that are to be written: their sender does not mind.
	receiveGap = 25 * time.Millisecond
	// overtaken is how long one that comes before what it is about waits for that, and waitForEarlier how long until it
	// is looked at again.
	overtaken      = time.Hour
	waitForEarlier = 5 * time.Second
)

// selectDue gives webhooks that are to be applied, the oldest first. It is for dueWebhooks.
const selectDue = `
SELECT provider, event_id, event FROM webhook WHERE state = 1 AND due_at <= now() ORDER BY due_at LIMIT $1`

// markKnown marks webhooks that are there as having told what is known, unless somebody has applied them. As in updatePayments each is
// found through the primary key, whatever the plan: a join may read all that was ever received instead.
const markKnown = `
INSERT INTO webhook (provider, event_id, event, state, detail, applied_at)
SELECT provider, event_id, 'null', $3, $4, now() FROM unnest($1::text[], $2::text[]) AS k (provider, event_id)
    ON CONFLICT (provider, event_id) DO UPDATE
   SET state = excluded.state, detail = excluded.detail, applied_at = excluded.applied_at
 WHERE webhook.state = 1`

// applyWebhooks works out what webhooks mean that told something new when they came, the oldest first. Those that tell what
// has become known since are put by together; each of the others is applied in a transaction of its own: one that cannot
// be keeps nobody else.
func (s *payments) applyWebhooks(ctx context.Context) (again bool, err error) {
	looked, news, err := s.putBy(ctx)
	errs := []error{err}
	for _, w := range news {
		err := pg.InTx(ctx, s.pool, func(tx *pg.Tx) error { return s.applyOne(ctx, tx, w.provider, w.id, w.event) })
		if err != nil {
			errs = append(errs, fmt.Errorf("applying webhook %s: %w", w.id, err))
		}
	}
	err = errors.Join(errs...)
	return looked == webhookBatch && err == nil, err
}

// webhook is one that was received.
type webhook struct {
	provider, id string
	event        provider.Event
}

// putBy looks at webhooks that are due, puts those by that tell what is known, and gives the others.
func (s *payments) putBy(ctx context.Context) (looked int, news []webhook, err error) {
	err = pg.InTxByKey(ctx, s.pool, func(tx *pg.Tx) error {
		all, err := dueWebhooks(ctx, tx)
		if err != nil {
			return err
		}
		looked = len(all)
		events := make([]provider.Event, len(all))
		for i, w := range all {
			events[i] = w.event
		}
		known, err := newStore(tx).knows(ctx, events)
		if err != nil {
			return err
		}
		var providers, ids []string
		for i, w := range all {
			if known[i] {
				providers, ids = append(providers, w.provider), append(ids, w.id)
			} else {
				news = append(news, w)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		_, err = tx.Exec(ctx, markKnown, providers, ids, wasKnown.state, wasKnown.detail)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("putting webhooks by: %w", err)
	}
	return looked, news, nil
}

// dueWebhooks reads a batch of webhooks that are due, in a transaction by key, through their index and in its order. Whatever
// the planner takes the table for, it may not gather them first (a bitmap scan): that looks through the entries of all that were
// applied since the last vacuum, each time, where a scan in order marks them as dead for the next one, and stops at its limit.
func dueWebhooks(ctx context.Context, tx *pg.Tx) (all []webhook, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`SET LOCAL enable_bitmapscan = off`)
	batch.Queue(selectDue, webhookBatch).Query(func(rows pgx.Rows) error {
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w webhook, err error) {
			return w, row.Scan(&w.provider, &w.id, &w.event)
		})
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading webhooks: %w", err)
	}
	return all, nil
}

// applyOne applies a webhook, unless another process has it.
func (s *payments) applyOne(ctx context.Context, tx *pg.Tx, from, eventID string, e provider.Event) error {
	var late bool
	err := tx.QueryRow(ctx, `
SELECT received_at < now() - $3::interval FROM webhook WHERE provider = $1 AND event_id = $2 AND state = 1 FOR UPDATE SKIP LOCKED`,
		from, eventID, overtaken).Scan(&late)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("holding webhook: %w", err)
	}
	v, err := s.apply(ctx, tx, e)
	if err != nil {
		return err
	}
	if v.state == webhookReceived && !late {
		_, err = tx.Exec(ctx, `UPDATE webhook SET detail = $3, due_at = now() + $4::interval WHERE provider = $1 AND event_id = $2`,
			from, eventID, v.detail, waitForEarlier)
		return err
	}
	if v.state == webhookReceived {
		v.state = webhookContradicts
	}
	if v.state == webhookContradicts {
		s.log.ErrorContext(ctx, "a webhook contradicts the books", slog.String("event_id", eventID), slog.String("detail", v.detail))
	}
	_, err = tx.Exec(ctx, `UPDATE webhook SET state = $3, detail = $4, applied_at = now() WHERE provider = $1 AND event_id = $2`,
		from, eventID, v.state, v.detail)
	return err
}

// apply takes an event for what it is: evidence of what became of an operation, or a chargeback.
func (s *payments) apply(ctx context.Context, tx *pg.Tx, e provider.Event) (verdict, error) {
	switch e.Kind {
	case provider.EventOutcome:
		return s.applyOutcome(ctx, tx, e)
	case provider.EventChargeback, provider.EventChargebackReversal:
		return s.applyDispute(ctx, tx, e)
	}
	return verdict{webhookNothingNew, "is about nothing that is kept"}, nil
}

// applyOutcome writes down what became of an operation that is open. One that is decided must have been decided so.
func (s *payments) applyOutcome(ctx context.Context, tx *pg.Tx, e provider.Event) (verdict, error) {
	o, found, err := s.toldOf(ctx, tx, e)
	if err != nil {
		return verdict{}, err
	}
	if !found {
		return verdict{webhookContradicts, fmt.Sprintf("no %s of ours has the key %q or is of charge %q", e.Op, e.Key, e.ChargeID)}, nil
	}
	if v := judged(o, e); v.state != webhookApplied {
		return v, nil
	}
	told := editOf(ctx, o, findingOf(e.Outcome.Kind)).told("webhook", e.At, e.Outcome)
	told.by = byWebhook
	written, err := s.record(ctx, tx, []edit{told})
	if err != nil {
		return verdict{}, err
	}
	if written[0] == nil { // it has changed since it was read
		return verdict{}, errChanged
	}
	return judged(o, e), nil
}

// wasKnown is the verdict on what tells nothing new.
var wasKnown = verdict{webhookNothingNew, "was known"}

// knows tells which events tell no more than what is known of their operations, which it finds by their keys. Of the others more
// is to be read, or something is to be done.
func (s store) knows(ctx context.Context, events []provider.Event) ([]bool, error) {
	var keys []string
	for _, e := range events {
		if e.Kind == provider.EventOutcome && e.Key != "" {
			keys = append(keys, e.Key)
		}
	}
	known := make([]bool, len(events))
	if len(keys) == 0 {
		return known, nil
	}
	about, err := s.byKeys(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, e := range events {
		o, found := about[e.Key]
		known[i] = found && e.Kind == provider.EventOutcome && judged(o, e) == wasKnown
	}
	return known, nil
}

// judged is what an event means for the operation that it is about.
func judged(o operation, e provider.Event) verdict {
	f := findingOf(e.Outcome.Kind)
	switch {
	case !f.definite():
		return verdict{webhookNothingNew, "tells of nothing definite"}
	case f == happened && e.Amount != o.Amount:
		return verdict{webhookContradicts, fmt.Sprintf("is about %s, and the %s of %s about %s", e.Amount, o.Op, o.Payment, o.Amount)}
	case edit{finding: f}.agrees(o):
		return wasKnown
	case !o.State.open():
		return verdict{webhookContradicts, fmt.Sprintf("says %s of the %s of %s, which is in state %d", e.Outcome.Kind, o.Op, o.Payment, o.State)}
	}
	return verdict{webhookApplied, "told what became of the " + string(o.Op)}
}

// toldOf finds the operation that an event is about: by its key, or as the only one of its kind and amount on a charge.
func (s *payments) toldOf(ctx context.Context, tx *pg.Tx, e provider.Event) (operation, bool, error) {
	st := newStore(tx)
	if e.Key != "" {
		return st.byKey(ctx, e.Key)
	}
	all, err := st.operations(ctx, "p.provider_charge_id = $1 AND o.op = $2 AND o.amount_minor = $3 AND (o.provider_id = $4 OR o.state IN (2, 3))",
		e.ChargeID, opNumber(e.Op), e.Amount.Minor, e.Outcome.ID)
	if err != nil || len(all) != 1 {
		return operation{}, false, err
	}
	return all[0], true, nil
}
