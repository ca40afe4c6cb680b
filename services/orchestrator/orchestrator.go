package orchestrator

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// orchestrator holds what the use cases share.
type orchestrator struct {
	pool      *pgxpool.Pool
	outbox    *outbox.Outbox
	engine    *engine
	intake    *intake
	standby   *standby
	catalogue *catalogue
	watchers  *watch.Watchers
	orders    *watch.Hub[orderAt] // those that are watched
	bulk      *bulk
	recurring *recurringIntake
	keyTTL    time.Duration   // of clients' keys
	newest    saga.Definition // of orders: what new ones run
}

// gather makes the groups in which what waits to be written is written together.
func (o *orchestrator) gather(env *service.Env) (err error) {
	if o.engine.transitions, err = service.NewGroup(env, "transitions", o.engine.record); err != nil {
		return err
	}
	if o.intake, err = service.NewGroup(env, "intake", o.placeAll); err != nil {
		return err
	}
	o.recurring, err = service.NewGroup(env, "recurring intake", o.startRecurring)
	return err
}

// OrderID identifies an order.
type OrderID = id.ID[orderKind]

type orderKind struct{}

// Prefix implements id.Kind.
func (orderKind) Prefix() string { return "ord" }

// RecurringID identifies a recurring payment.
type RecurringID = id.ID[recurringKind]

type recurringKind struct{}

// Prefix implements id.Kind.
func (recurringKind) Prefix() string { return "rcp" }

// SagaID identifies a saga.
type SagaID = id.ID[sagaKind]

type sagaKind struct{}

// Prefix implements id.Kind.
func (sagaKind) Prefix() string { return "sag" }

// subject is what a saga is for, as its steps need it.
type subject struct {
	reference     string // ord_… or rcp_…: the order or the recurring payment, as the participants are told
	customerID    string
	paymentMethod string
	total         money.Amount
	lines         []line  // of an order
	shipTo        address // of an order
}

// order is what a client placed.
type order struct {
	id     OrderID
	sagaID SagaID
	subject
	createdAt time.Time
}

// line is a quantity of one SKU at a price.
type line struct {
	SKU       string       `json:"sku"`
	Quantity  int32        `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"`
}

// address is where an order goes.
type address struct {
	Name       string `json:"name,omitempty"`
	Street     string `json:"street,omitempty"`
	City       string `json:"city,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country"`
}

// orderView is an order and how far its saga has come.
type orderView struct {
	order
	phase     saga.Phase
	cause     string
	updatedAt time.Time
	seq       int64 // of its saga's last event
	// queued says that the order waits in the intake stream for the database.
	queued bool
}

// sagaView is a saga as its row says.
type sagaView struct {
	id          SagaID
	definition  definitionKey
	subject     uuid.UUID // the id of what it is for, whose kind the definition tells
	reference   string    // what a recurring payment is for, in the words of who started it; empty for an order
	phase       saga.Phase
	step        string
	cause       string
	seq         int
	deadline    time.Time
	traceparent string
	paused      bool
	atRisk      bool      // the customer's money may be held, and for nothing
	nextAt      time.Time // zero for none
	createdAt   time.Time
	updatedAt   time.Time
	stepAt      time.Time // when the step it is at came up; zero where its history was not read
}

// subjectID is the id of what the saga is for, as others are told it: ord_… or rcp_….
func (v sagaView) subjectID() string {
	if v.definition.name == recurring {
		return RecurringID(v.subject).String()
	}
	return OrderID(v.subject).String()
}

// timelineEntry is one thing that happened to an order, as a service's event told it.
type timelineEntry struct {
	eventID uuid.UUID
	at      time.Time
	service string
	kind    string
	subject string
}

// request is who asks, and under which key.
type request struct {
	caller, key string
}

func (r request) idem(method string, ttl time.Duration, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Fields: fields, TTL: ttl}
}

// clock tells the time as it will be read back from Postgres, which keeps microseconds.
func clock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
