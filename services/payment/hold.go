package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/payment/provider"
)

// holdEvery is how soon a replica knows that another one was told to hold calls back.
const holdEvery = 5 * time.Second

// hold is whether an operator has the calls to the provider held back, who and why.
type hold struct {
	Open          bool
	Actor, Reason string
	ChangedAt     time.Time
}

// readHold gives the hold as it is; the zero hold when there never was one.
func (s *payments) readHold(ctx context.Context) (h hold, err error) {
	err = s.pool.QueryRow(ctx, `SELECT open, actor, reason, changed_at FROM provider_hold WHERE provider = $1`, s.provider.Name()).
		Scan(&h.Open, &h.Actor, &h.Reason, &h.ChangedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return hold{}, nil
	}
	if err != nil {
		return hold{}, fmt.Errorf("reading whether calls are held back: %w", err)
	}
	return h, nil
}

// keepHold brings this replica's breaker to what the database says.
func (s *payments) keepHold(ctx context.Context) (again bool, err error) {
	h, err := s.readHold(ctx)
	if err == nil {
		s.provider.Breaker().Force(h.Open)
	}
	return false, err
}

// forcing asks that every call to the provider be held back, or that this be left to the breaker.
type forcing struct {
	caller, key, reason string
	open                bool
}

// forceBreaker does as it is asked in this replica at once, and in all others soon.
func (s *payments) forceBreaker(ctx context.Context, f forcing) error {
	request := idem.Request{Caller: f.caller, Method: "ForceBreaker", Key: f.key, Fields: []idem.Field{
		{Name: "open", Value: strconv.FormatBool(f.open)}, {Name: "reason", Value: f.reason},
	}}
	verb := "leave the breaker to itself"
	if f.open {
		verb = "force the breaker open"
	}
	_, err := idem.Once(ctx, s.pool, request, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		_, err := tx.Exec(ctx, `
INSERT INTO provider_hold (provider, open, actor, reason) VALUES ($1, $2, $3, $4)
    ON CONFLICT (provider) DO UPDATE SET open = excluded.open, actor = excluded.actor, reason = excluded.reason, changed_at = now()`,
			s.provider.Name(), f.open, f.caller, f.reason)
		if err != nil {
			return struct{}{}, "", fmt.Errorf("writing whether calls are held back: %w", err)
		}
		return struct{}{}, s.provider.Name(), newStore(tx).insertActions(ctx, []action{{actor: f.caller, verb: verb, reason: f.reason}})
	})
	if err != nil {
		return err
	}
	_, err = s.keepHold(ctx)
	return err
}

// tellBreaker writes an event for each change of the breaker, one after the other; what the outbox does not take is
// logged, and told by the metric.
func (s *payments) tellBreaker(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case state := <-s.breaker:
			if err := s.writeBreaker(ctx, state); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "a change of the breaker is not told", slog.String("state", state.String()), slog.Any("error", err))
			}
		}
	}
}

func (s *payments) writeBreaker(ctx context.Context, state provider.BreakerState) error {
	h, err := s.readHold(ctx)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, s.pool, func(tx *pg.Tx) error {
		return s.outbox.Write(ctx, tx, breakerEvent(s.provider.Name(), state, h))
	})
}

// action is what a person did to a payment, by a journal, or, where both are zero, to the provider's account.
type action struct {
	actor, verb, reason string
	payment             PaymentID
	seq                 int16 // of the operation that it began
	journal             JournalID
}

// insertActions writes the audit rows of what people did.
func (s store) insertActions(ctx context.Context, actions []action) error {
	if len(actions) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, a := range actions {
		var seq *int16
		if !a.payment.IsZero() {
			seq = &a.seq
		}
		batch.Queue(`INSERT INTO operator_action (id, actor, verb, reason, payment_id, seq, journal_id) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			uuid.Must(uuid.NewV7()), a.actor, a.verb, a.reason, a.payment, seq, a.journal)
	}
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing audit rows: %w", err)
	}
	return nil
}
