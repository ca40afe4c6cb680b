package shipment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

const methodSchedule = "Schedule"

type scheduleCommand struct {
	request
	reference string
	address   carrier.Address
	carrier   string // empty for the default
	level     carrier.Level

	parcel *parcel // from its beginning on
}

// parcel is a shipment as its carrier knows it. Who brings it is what was written down first, whatever the default is by
// now: another carrier would bring it a second time.
type parcel struct {
	id      shipmentID
	state   shipmentState
	carrier string
	booking carrier.Booking

	caller, key string // of the Schedule; empty for shipments from before these were kept
	byDefault   bool   // the Schedule names no carrier
	cancelling  bool   // that was begun
	byOperator  bool   // a person decided it
}

func (c *scheduleCommand) opening() (idem.Opening, error) {
	address, err := json.Marshal(c.address)
	if err != nil {
		return idem.Opening{}, fmt.Errorf("encoding address: %w", err)
	}
	level := c.level.String()
	if c.level == carrier.Standard { // which a client that does not know of levels means
		level = ""
	}
	r := c.idem(methodSchedule,
		idem.Field{Name: "reference", Value: c.reference}, idem.Field{Name: "address", Value: string(address)},
		idem.Field{Name: "carrier", Value: c.carrier}, idem.Field{Name: "service_level", Value: level})
	return idem.Opening{Request: r, Token: c.token}, nil
}

// choose finds the carrier of a request that is new. Refused with CARRIER_UNKNOWN and SERVICE_LEVEL_NOT_OFFERED.
func (c *scheduleCommand) choose(among carrier.Directory) (*parcel, error) {
	name := cmp.Or(c.carrier, among.Default)
	by, known := among.Carriers[name]
	if !known {
		return nil, rpcerr.ForField(rpcerr.CarrierUnknown, "carrier", "there is no carrier %q; there are %s", name, strings.Join(among.Names(), ", "))
	}
	if !by.Capabilities().Offers(c.level) {
		return nil, rpcerr.ForField(rpcerr.ServiceLevelNotOffered, "service_level", "carrier %q does not offer %s", name, c.level)
	}
	made := id.New[shipmentKind]()
	return &parcel{
		id: made, state: scheduling, carrier: name, caller: c.caller, key: c.key, byDefault: c.carrier == "",
		booking: carrier.Booking{
			Key: c.carrierKey(), Reference: c.reference, Address: c.address, Level: c.level, BookedAt: madeAt(made),
		},
	}, nil
}

// madeAt is when a shipment was made, which its id says: a UUIDv7.
func madeAt(sid shipmentID) time.Time { return time.Unix(sid.UUID().Time().UnixTime()) }

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
	begun, err := idem.BeginAll[*shipment](ctx, tx, all, lease, func(ctx context.Context, tx *pg.Tx, fresh []int) ([]idem.Intent, error) {
		var made []*parcel
		intents := make([]idem.Intent, len(fresh))
		for n, i := range fresh {
			p, refusal := batch[i].choose(s.carriers)
			if batch[i].parcel = p; refusal != nil {
				intents[n].Err = refusal
				continue
			}
			made = append(made, p)
			intents[n].Resource = p.id.String()
		}
		return intents, newStore(tx.Later()).insert(ctx, made)
	})
	if err != nil {
		return nil, err
	}
	return begun, completed(ctx, tx, batch, begun)
}

// completed gives commands on a claim their parcels, but for those that are made in the batch itself, also when it is
// applied again after a COMMIT without an answer.
func completed(ctx context.Context, tx *pg.Tx, batch []*scheduleCommand, begun []groupcommit.Result[idem.Begun[*shipment]]) error {
	var known []string
	for i, b := range begun {
		if claim, p := b.Value.Claim, batch[i].parcel; claim != nil && (p == nil || p.id.String() != claim.Resource) {
			known = append(known, claim.Resource)
		}
	}
	parcels, err := newStore(tx).parcels(ctx, known)
	if err != nil {
		return err
	}
	for i, b := range begun {
		if claim := b.Value.Claim; claim != nil && parcels[claim.Resource] != nil {
			batch[i].parcel = parcels[claim.Resource]
		}
	}
	return nil
}

// schedule has the carrier come. Refused with CARRIER_REFUSED; CARRIER_OUTCOME_UNKNOWN when its answer was lost.
func (s *shipments) schedule(ctx context.Context, c *scheduleCommand, claim *idem.Claim) (ending, error) {
	return s.ask(ctx, c.request, "shipment.Schedule", claim, c.parcel, func(ctx context.Context, by carrier.Carrier) (ending, error) {
		return booked(by.Book(ctx, c.parcel.booking))
	})
}
