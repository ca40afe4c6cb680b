package shipment

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/services/shipment/carrier"
)

// A call to the carrier has its time, and an errand's work, which may have to wait for its turn, a little more. The
// lease leaves the rest to the commit of the intent, with which it begins: when it ends, nobody is asking the carrier
// any more.
const (
	carrierTimeout = 8 * time.Second
	limit          = 10 * time.Second
	lease          = 15 * time.Second
)

// atOnce is how many calls to the carrier there are at once.
const atOnce = 64

// askAgainAfter is told to a caller whose outcome is not known.
const askAgainAfter = time.Second

// shipments holds what the use cases share.
type shipments struct {
	outbox   *outbox.Outbox
	carriers carrier.Directory
	log      *slog.Logger
	tracer   trace.Tracer
	pool     *pgxpool.Pool // to read

	schedules, lookUps *errands[*scheduleCommand]
	cancels            *errands[*cancelCommand]
	decisions          *errands[*decision]
	ends               *groupcommit.Group[ending, *shipment]
	reports            *groupcommit.Group[report, struct{}]
}

// errands are requests that the carrier is asked for. They answer with the shipment; nil where a Cancel found none.
type errands[C any] = errand.Errands[C, ending, *shipment]

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
	handedOver shipmentState = 5
	inTransit  shipmentState = 6
	delivered  shipmentState = 7
	returned   shipmentState = 8
	lost       shipmentState = 9
)

// String gives the state as people say it.
func (s shipmentState) String() string {
	return map[shipmentState]string{
		scheduling: "scheduling", scheduled: "scheduled", refused: "refused", cancelled: "cancelled", handedOver: "handed over",
		inTransit: "in transit", delivered: "delivered", returned: "returned", lost: "lost",
	}[s]
}

// left tells whether the carrier has it, or had: it cannot be cancelled.
func (s shipmentState) left() bool { return s >= handedOver }

// follow tells whether a shipment in state s may get to another. What the carrier has does not come back, and of an
// outcome that was written down nothing else is learnt by being late.
func (s shipmentState) follow(to shipmentState) bool {
	switch {
	case s == scheduling:
		return to != scheduling
	case s == scheduled:
		return to == cancelled || to.left()
	case s == handedOver, s == inTransit:
		return to > s
	}
	return false
}

// shipment is what a carrier was asked to bring.
type shipment struct {
	ID             shipmentID      `json:"id"`
	State          shipmentState   `json:"state"`
	Reference      string          `json:"reference"`
	Address        carrier.Address `json:"address"`
	TrackingNumber string          `json:"tracking_number"` // empty until it is scheduled
	RefusalReason  string          `json:"refusal_reason"`  // the carrier's; empty unless refused
	Carrier        string          `json:"carrier"`         // its name; empty in answers from before there were several
	Level          carrier.Level   `json:"service_level"`   // 0 in such answers
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
}

// request is who asks, under which key, as the owner of which epoch (0 for none), and in which trace ("" for the
// call's).
type request struct {
	caller, key string
	epoch       int64
	traceparent string
	token       uuid.UUID
}

// Trace is the trace context that the write of the request is part of.
func (r request) Trace() string { return r.traceparent }

func (r request) idem(method string, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Epoch: r.epoch, Fields: fields}
}

// carrierKey is what the carrier knows the shipment by. It follows from the request and not from what is stored,
// so that even a database restored from a backup does not ship twice. Neither part can hold a NUL.
func (r request) carrierKey() string {
	sum := sha256.Sum256([]byte(r.caller + "\x00" + r.key))
	return hex.EncodeToString(sum[:])
}
