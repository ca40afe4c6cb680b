package billing

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/watch"
)

// billing holds what the use cases share.
type billing struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	watchers *watch.Watchers
	feeder   *feeder
	metrics  metrics
	prove    periodic.Bell // a batch may have come to its end
	log      *slog.Logger
	keyTTL   time.Duration // of clients' keys

	// clock is what time it is for schedules; it gives nil where the database's clock counts.
	clock func() *time.Time
}

// BatchID identifies a batch.
type BatchID = id.ID[batchKind]

type batchKind struct{}

// Prefix implements id.Kind.
func (batchKind) Prefix() string { return "bat" }

type batchState int16

const (
	batchPlanned   batchState = 1
	batchRunning   batchState = 2
	batchPaused    batchState = 3
	batchFinished  batchState = 4
	batchCancelled batchState = 5
)

// String gives the state as people say it.
func (s batchState) String() string {
	return map[batchState]string{
		batchPlanned: "planned", batchRunning: "running", batchPaused: "paused", batchFinished: "finished", batchCancelled: "cancelled",
	}[s]
}

// ended tells whether nothing more happens by itself.
func (s batchState) ended() bool { return s == batchFinished || s == batchCancelled }

// origin is where the items of a batch come from.
type origin int16

const (
	originFile      origin = 1
	originSchedules origin = 2
)

type itemState int16

const (
	itemPlanned   itemState = 1
	itemRunning   itemState = 2
	itemSucceeded itemState = 3
	itemFailed    itemState = 4
	itemUnknown   itemState = 5
	itemCancelled itemState = 6
)

// String gives the state as people say it.
func (s itemState) String() string {
	return map[itemState]string{
		itemPlanned: "planned", itemRunning: "running", itemSucceeded: "succeeded", itemFailed: "failed", itemUnknown: "unknown",
		itemCancelled: "cancelled",
	}[s]
}

// header is what an uploader says of a file.
type header struct {
	Name     string            `json:"name"`
	Series   string            `json:"series,omitempty"`
	Format   int32             `json:"format,omitempty"`
	Columns  map[string]string `json:"columns,omitempty"`
	Account  string            `json:"provider_account"`
	CutOffAt *time.Time        `json:"cut_off_at,omitempty"`
	Repeats  string            `json:"repeats_batch_id,omitempty"`
	Dunning  *policy           `json:"dunning,omitempty"`
}

// defaultAccount is where items are charged for which nobody says it.
const defaultAccount = "default"

// sum is a number of items and what they come to.
type sum struct {
	Items int64 `json:"items"`
	money.Amount
}

// collection is what of a currency is planned, and what was taken.
type collection struct {
	planned, collected sum
}

// variance is how a batch differs from an earlier one.
type variance struct {
	Earlier       BatchID `json:"batch_id"`
	Items         int64   `json:"items"`
	Sums          []sum   `json:"sums"`
	CustomersNew  int64   `json:"customers_new"`
	CustomersGone int64   `json:"customers_gone"`
}

// rejectionCount is how many rows were rejected for a reason.
type rejectionCount struct {
	reason string
	rows   int64
}

// batch is a file of payments and how far they have come.
type batch struct {
	id         BatchID
	state      batchState
	header     header
	planHash   []byte
	items      int64
	sums       []collection
	rejected   int64
	rejections []rejectionCount
	duplicates int64
	variance   *variance

	planned, running, succeeded, failed, unknown, cancelled int64
	retrying                                                int64 // failed items that are tried again by themselves

	proof *proof

	createdBy, startedBy, note                 string
	createdAt, startedAt, cancelledAt, endedAt time.Time
}

// item is one payment of a batch.
type item struct {
	line                    int64
	reference               string
	customerID              string
	paymentMethod           string
	amount                  money.Amount
	description, cardScheme string
	state                   itemState
	attempt
	earlier []attempt
	retryAt time.Time // zero for never
}

// attempt is one attempt to charge an item.
type attempt struct {
	number         int32
	begunAt        time.Time
	knownAt        time.Time
	reason, detail string
	sagaID         *uuid.UUID
	paymentID      string
}

// rejection is a row of the file that is no item.
type rejection struct {
	line                        int64
	field, reason, message, raw string
}

// request is who asks, and under which key.
type request struct {
	caller, key string
}

func (r request) idem(method string, ttl time.Duration, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Fields: fields, TTL: ttl}
}

func parseBatchID(s string) (BatchID, error) {
	bid, err := id.Parse[batchKind](s)
	if err != nil {
		return bid, rpcerr.ForField(rpcerr.RequestInvalid, "batch_id", "%v", err)
	}
	return bid, nil
}

func noBatch(bid BatchID) error {
	return rpcerr.ForField(rpcerr.NotFound, "batch_id", "there is no batch %s", bid)
}

// refuse says that a batch is not in a state in which something is possible.
func (b *batch) refuse(what string) error {
	e := rpcerr.New(rpcerr.BatchStateRefused, "batch %s is %s and cannot be %s", b.id, b.stateText(), what)
	e.Resource = b.id.String()
	return e
}

func (b *batch) stateText() string {
	if b.state == batchRunning && !b.cancelledAt.IsZero() {
		return "being cancelled"
	}
	return b.state.String()
}

// itemKey is the idempotency key of an attempt, and its reference.
func itemKey(bid BatchID, line int64, number int32) string {
	return fmt.Sprintf("%s/%d/%d", bid, line, number)
}
