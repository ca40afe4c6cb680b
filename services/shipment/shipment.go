package shipment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// A call to the carrier and the writing of its answer each have their time, and the lease is longer than both:
// when it ends, nobody is asking the carrier any more.
const (
	carrierTimeout = 8 * time.Second
	recordTimeout  = 5 * time.Second
	lease          = 15 * time.Second
)

// askAgainAfter is told to a caller whose outcome is not known.
const askAgainAfter = time.Second

// shipments holds what the use cases share.
type shipments struct {
	pool    *pgxpool.Pool
	outbox  *outbox.Outbox
	carrier carrier.Carrier
	log     *slog.Logger
}

type shipmentID = id.ID[shipmentKind]

type shipmentKind struct{}

// Prefix implements id.Kind.
func (shipmentKind) Prefix() string { return "shp" }

type shipmentState int16

const (
	scheduling shipmentState = 1
	scheduled  shipmentState = 2
	refused    shipmentState = 3
	cancelled  shipmentState = 4
)

// shipment is what a carrier was asked to bring.
type shipment struct {
	ID             shipmentID      `json:"id"`
	State          shipmentState   `json:"state"`
	Reference      string          `json:"reference"`
	Address        carrier.Address `json:"address"`
	TrackingNumber string          `json:"tracking_number"` // empty until it is scheduled
	RefusalReason  string          `json:"refusal_reason"`  // the carrier's; empty unless refused
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
}

// request is who asks, and under which key.
type request struct {
	caller, key string
}

func (r request) idem(method string, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Fields: fields}
}

// carrierKey is what the carrier knows the shipment by. It follows from the request and not from what is stored,
// so that even a database restored from a backup does not ship twice. Neither part can hold a NUL.
func (r request) carrierKey() string {
	sum := sha256.Sum256([]byte(r.caller + "\x00" + r.key))
	return hex.EncodeToString(sum[:])
}

// recording is the context to write the carrier's answer under: that must not be lost because the caller left.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
}

// outcomeUnknown gives a claim back when the carrier's answer was lost, so that the next request under the key
// asks it again at once.
func outcomeUnknown[A any](ctx context.Context, claim *idem.Claim[A], log *slog.Logger, cause error) error {
	log = log.With(slog.String("shipment_id", claim.Resource))
	log.WarnContext(ctx, "the carrier's answer was lost", slog.Any("error", cause))
	if err := claim.Abandon(ctx, func(context.Context, *pg.Tx) error { return nil }); err != nil {
		log.WarnContext(ctx, "the claim was not given back and ends with its lease", slog.Any("error", err))
	}
	e := rpcerr.New(rpcerr.CarrierOutcomeUnknown, "the carrier was asked and its answer was lost; ask again under the same key")
	e.RetryAfter = askAgainAfter
	return e
}
