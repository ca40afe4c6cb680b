package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/inventory/stock"
)

// inventory holds what the use cases share. Each kind of write has a group of its own: what waits is one transaction,
// written by the function of the same name.
type inventory struct {
	pool   *pgxpool.Pool
	outbox *outbox.Outbox
	tracer trace.Tracer
	keyTTL time.Duration // of clients' keys; sagas' keys never expire
	caches

	reserves *group[reserveCommand, reservation]
	releases *group[request, *reservation]
	commits  *group[commitCommand, reservation]
	receipts *group[receiveCommand, []levelAt]
	adjusts  *group[adjustCommand, []levelAt]
}

type group[C, A any] = groupcommit.Group[C, idem.Answer[A]]

// results are what a batch of commands ends with.
type results[A any] = []groupcommit.Result[idem.Answer[A]]

// ReservationID identifies a reservation.
type ReservationID = id.ID[reservationKind]

type reservationKind struct{}

// Prefix implements id.Kind.
func (reservationKind) Prefix() string { return "res" }

type receiptKind struct{}

// Prefix implements id.Kind.
func (receiptKind) Prefix() string { return "rcp" }

type adjustmentKind struct{}

// Prefix implements id.Kind.
func (adjustmentKind) Prefix() string { return "adj" }

type reservationState int16

const (
	held      reservationState = 1
	released  reservationState = 2
	committed reservationState = 3
	expired   reservationState = 4
)

// reservation is pieces of several SKUs promised to one taker. Lines are consolidated: one a SKU, by SKU.
type reservation struct {
	ID        ReservationID    `json:"id"`
	Reference string           `json:"reference"`
	State     reservationState `json:"state"`
	Lines     []stock.Line     `json:"lines"`
	// ExpiresAt is nil for one that does not expire, or does not any more.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// request is who asks, under which key, as the owner of which epoch (0 for none), and in which trace.
type request struct {
	caller, key string
	epoch       int64
	traceparent string
}

// Trace is the trace context that the request's write is part of.
func (r request) Trace() string { return r.traceparent }

// idems are the requests of a batch by name.
func idems[C any](batch []C, of func(C) (idem.Request, error)) ([]idem.Request, error) {
	requests := make([]idem.Request, len(batch))
	for i, c := range batch {
		var err error
		if requests[i], err = of(c); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

func (r request) idem(method string, ttl time.Duration, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Epoch: r.epoch, Fields: fields, TTL: ttl}
}

// consolidate adds up lines by SKU, and blames the request when they cannot be.
func consolidate(lines []stock.Line) ([]stock.Line, error) {
	sum, err := stock.Consolidate(lines)
	if errors.Is(err, stock.ErrOverflow) {
		return nil, rpcerr.ForField(rpcerr.QuantityOverflow, "lines", "%v", err)
	}
	return sum, err
}

// linesField is the fingerprint of lines: of what they add up to, however they are told.
func linesField(lines []stock.Line) (idem.Field, error) {
	sum, err := consolidate(lines)
	if err != nil {
		return idem.Field{}, err
	}
	canonical, err := json.Marshal(sum)
	if err != nil {
		return idem.Field{}, fmt.Errorf("encoding lines: %w", err)
	}
	return idem.Field{Name: "lines", Value: string(canonical)}, nil
}

// unknownSKUs refuses SKUs that are not among the known levels; path names the request's field of each.
func unknownSKUs[L any](skus []string, known map[string]L, path func(int) string) error {
	var fields []rpcerr.Field
	for i, sku := range skus {
		if _, ok := known[sku]; !ok {
			fields = append(fields, rpcerr.Field{Path: path(i), Description: fmt.Sprintf("%q is not a known SKU", sku)})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return rpcerr.ForFields(rpcerr.SKUUnknown, fields...)
}

// The paths of SKUs in the requests that name them.
func skuField(int) string       { return "sku" }
func skusField(i int) string    { return fmt.Sprintf("skus[%d]", i) }
func lineSKUField(i int) string { return fmt.Sprintf("lines[%d].sku", i) }
