package shipment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	// lookEvery is how often is looked for shipments whose time has come.
	lookEvery = 2 * time.Second
	// lookBatch is how many are taken at once, and asked about side by side.
	lookBatch = 64
)

// When a carrier is asked again by itself, after it has told nothing new so many times: what became of a shipment in
// doubt, and how far one is.
var (
	doubtWaits = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}
	trackWaits = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
)

// takeDue gives shipments whose time has come to whoever asks first, and sets their next time: who dies while it asks
// has looked in vain. Those that have ended are never looked at again.
const takeDue = `
UPDATE shipment
   SET looks = looks + 1, look_at = CASE
       WHEN state = 1 OR cancelling AND state = 2 THEN now() + ($2::interval[])[least(looks + 1, array_length($2::interval[], 1))]
       WHEN state IN (2, 5, 6) THEN now() + ($3::interval[])[least(looks + 1, array_length($3::interval[], 1))] END
 WHERE id IN (SELECT id FROM shipment WHERE look_at <= now() ORDER BY look_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id`

// due takes shipments whose time has come.
func (s *shipments) due(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, takeDue, lookBatch, doubtWaits, trackWaits)
	if err != nil {
		return nil, fmt.Errorf("looking for shipments that are due: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[shipmentID])
	if err != nil {
		return nil, fmt.Errorf("looking for shipments that are due: %w", err)
	}
	due := make([]string, len(ids))
	for i, sid := range ids {
		due[i] = sid.String()
	}
	return due, nil
}

// lookOnce asks the carriers about shipments that are on their way, or in doubt. What goes wrong with one is logged.
func (s *shipments) lookOnce(ctx context.Context) (again bool, err error) {
	ids, err := s.due(ctx)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	parcels, err := newStore(s.pool).parcels(ctx, ids)
	if err != nil {
		return false, err
	}
	var asking sync.WaitGroup
	for _, p := range parcels {
		asking.Go(func() {
			if err := s.look(ctx, p); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "a shipment was looked at in vain", slog.String("shipment_id", p.id.String()), slog.Any("error", err))
			}
		})
	}
	asking.Wait()
	return len(ids) == lookBatch, nil
}

// look finds out what its carrier knows of a shipment. One in doubt is asked for under the key of whoever asked for it
// first, so that it is the same request, which is answered then: it is looked up, and never scheduled; and it is only
// cancelled when that was asked for.
func (s *shipments) look(ctx context.Context, p *parcel) error {
	first := request{caller: p.caller, key: p.key, token: uuid.New()}
	switch {
	case p.state == refused, p.state == cancelled:
		return nil
	case p.state.left(), p.state == scheduled && !p.cancelling:
		return s.askHowFar(ctx, p)
	case p.cancelling && p.byOperator:
		d, err := newStore(s.pool).decision(ctx, p)
		if err != nil {
			return err
		}
		return inVain(s.decisions.DoAll(ctx, []*decision{d})[0].Err)
	case p.key == "":
		return errors.New("who asked for it is not known")
	case p.cancelling:
		return inVain(s.cancels.DoAll(ctx, []*cancelCommand{{request: first}})[0].Err)
	}
	c := &scheduleCommand{request: first, reference: p.booking.Reference, address: p.booking.Address, level: p.booking.Level}
	if !p.byDefault {
		c.carrier = p.carrier
	}
	return inVain(s.lookUps.DoAll(ctx, []*scheduleCommand{c})[0].Err)
}

// inVain leaves of what a request was answered what says nothing of its shipment.
func inVain(err error) error {
	if rpcerr.Is(err, rpcerr.CarrierRefused) || rpcerr.Is(err, rpcerr.ShipmentHandedOver) {
		return nil
	}
	return err
}

// askHowFar asks a shipment's carrier how far it is, and takes down what is new.
func (s *shipments) askHowFar(ctx context.Context, p *parcel) error {
	by, known := s.carriers.Carriers[p.carrier]
	if !known {
		return fmt.Errorf("there is no carrier %q any more: %w", p.carrier, outcomeUnknown())
	}
	calling, cancel := context.WithTimeout(ctx, carrierTimeout)
	defer cancel()
	events, err := by.Track(calling, p.booking)
	if err != nil {
		return fmt.Errorf("asking carrier %s: %w: %w", p.carrier, outcomeUnknown(), err)
	}
	events, unusable := heard(events)
	if unusable != nil {
		s.log.WarnContext(ctx, "a carrier tells what cannot be taken down", slog.String("shipment_id", p.id.String()), slog.Any("error", unusable))
	}
	_, err = s.reports.Do(ctx, report{p, events})
	return err
}
