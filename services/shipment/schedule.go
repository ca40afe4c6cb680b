package shipment

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/shipment/carrier"
)

const methodSchedule = "Schedule"

type scheduleCommand struct {
	request
	reference string
	address   carrier.Address
}

func (c *scheduleCommand) opening() (idem.Opening, error) {
	address, err := json.Marshal(c.address)
	if err != nil {
		return idem.Opening{}, fmt.Errorf("encoding address: %w", err)
	}
	r := c.idem(methodSchedule,
		idem.Field{Name: "reference", Value: c.reference}, idem.Field{Name: "address", Value: string(address)})
	return idem.Opening{Request: r, Token: c.token}, nil
}

func (c *scheduleCommand) booking() carrier.Booking {
	return carrier.Booking{Key: c.carrierKey(), Reference: c.reference, Address: c.address}
}

// openings are commands by name.
func openings(batch []*scheduleCommand) ([]idem.Opening, error) {
	all := make([]idem.Opening, len(batch))
	for i, c := range batch {
		var err error
		if all[i], err = c.opening(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// beginSchedule makes the shipments of commands durable, before the carrier is asked to come.
func (s *shipments) beginSchedule(ctx context.Context, tx *pg.Tx, batch []*scheduleCommand) ([]groupcommit.Result[idem.Begun[*shipment]], error) {
	all, err := openings(batch)
	if err != nil {
		return nil, err
	}
	return idem.BeginAll[*shipment](ctx, tx, all, lease, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
		made, commands := make([]shipmentID, len(fresh)), make([]*scheduleCommand, len(fresh))
		intents := make([]idem.Intent, len(fresh))
		for n, i := range fresh {
			made[n], commands[n] = id.New[shipmentKind](), batch[i]
			intents[n].Resource = made[n].String()
		}
		return intents, newStore(tx).insert(ctx, made, commands)
	})
}

// schedule has the carrier come. Refused with CARRIER_REFUSED; CARRIER_OUTCOME_UNKNOWN when its answer was lost.
func (s *shipments) schedule(ctx context.Context, c *scheduleCommand, claim *idem.Claim) (ending, error) {
	return s.ask(ctx, c.request, "shipment.Schedule", claim, func(ctx context.Context) (ending, error) {
		return booked(s.carrier.Book(ctx, c.booking()))
	})
}
