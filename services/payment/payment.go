package payment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/provider"
)

const (
	// askAgain is when to ask again where nothing better is known.
	askAgain = time.Second
	// callsPerRequest is how many times the provider is called for one request at most: a refund looks up the
	// charge, then the refund, and then refunds.
	callsPerRequest = 3
	// leaseMargin is what a request needs besides its calls.
	leaseMargin = 4 * time.Second
	// inProcess is how many requests one process works on at once.
	inProcess = 64
)

// Why an operation stays in doubt.
var (
	errTooYoung  = errors.New("the provider does not know of it, which may still be on its way")
	errNotAsked  = errors.New("the provider could not be asked")
	errKeyTooOld = errors.New("the provider may have forgotten the key, so that it is not sent again")
)

// payments holds what the use cases share.
type payments struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	provider provider.Account
	log      *slog.Logger
	tracer   trace.Tracer

	breaker  chan provider.BreakerState // what it changes to
	webhooks periodic.Bell              // one was received that is to be applied

	errands map[method]*errand.Errands[*command, ending, *payment]
	booked  metric.Int64Counter
	// outcomes writes how the work on all of them ends.
	outcomes *groupcommit.Group[ending, *payment]
}

// begun is how a request begins.
type begun = groupcommit.Result[idem.Begun[*payment]]

// PaymentID identifies a payment.
type PaymentID = id.ID[paymentKind]

type paymentKind struct{}

// Prefix implements id.Kind.
func (paymentKind) Prefix() string { return "pay" }

// payment is one charge or authorization and what became of it.
type payment struct {
	ID            PaymentID    `json:"id"`
	State         state        `json:"state"`
	Amount        money.Amount `json:"amount"`
	Method        string       `json:"method"`
	CustomerID    string       `json:"customer_id"`
	Reference     string       `json:"reference"`
	ProviderKey   string       `json:"provider_key"`   // of the charge or authorization
	ChargeID      string       `json:"charge_id"`      // the provider's, of the charge or authorization
	DeclineReason string       `json:"decline_reason"` // the provider's code
	Captured      int64        `json:"captured"`       // these three in minor units
	Refunded      int64        `json:"refunded"`
	ChargedBack   int64        `json:"charged_back"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`

	// Last is the last of its operations, the only one that may be open. It is no part of an answer.
	Last operation `json:"-"`

	readAt time.Time // by the database's clock
}

// left is what was captured and not given back.
func (p payment) left() money.Amount {
	return money.Amount{Currency: p.Amount.Currency, Minor: p.Captured - p.Refunded}
}

// lease is how long one request may work: on the calls it may make, and on what it writes.
func (s *payments) lease() time.Duration {
	return callsPerRequest*s.provider.Capabilities().CallTimeout + leaseMargin
}

// derived is the key under which the provider knows what a request asks for: the same for the same request, for ever.
func derived(caller string, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{caller}, of...), "\n")))
	return hex.EncodeToString(sum[:])
}

// request is who asks, under which key, and for which saga.
type request struct {
	caller, key string
	epoch       int64
	traceparent string    // of the saga's step; empty for the call's own trace
	token       uuid.UUID // tells this sending from every other one
}

// Trace is the trace context that the write of the request is part of.
func (r request) Trace() string { return r.traceparent }

// superseded makes an error of having lost the work to another request what it means to the caller.
func superseded(err error) error {
	if errors.Is(err, idem.ErrClaimLost) || errors.Is(err, errChanged) {
		return outcomeUnknown(askAgain)
	}
	return err
}

func outcomeUnknown(retryAfter time.Duration) *rpcerr.Error {
	e := rpcerr.New(rpcerr.PaymentOutcomeUnknown, "the payment provider was asked and its answer was lost; ask again under the same key")
	e.RetryAfter = retryAfter
	return e
}

func providerDown() *rpcerr.Error {
	e := rpcerr.New(rpcerr.DestinationDown, "the payment provider does not answer, nothing was sent")
	e.RetryAfter = askAgain
	return e
}

// busy is for a request that finds another operation of the payment in doubt.
func busy(p payment) *rpcerr.Error {
	e := rpcerr.New(rpcerr.PaymentBusy, "the %s of %s is on its way or in doubt; ask again under the same key", p.Last.Op, p.ID)
	e.RetryAfter = askAgain
	return e
}

// checkAmount refuses an amount that nobody can be asked for.
func checkAmount(a money.Amount) error {
	if _, err := money.ParseCurrency(string(a.Currency)); err != nil {
		return rpcerr.ForField(rpcerr.CurrencyUnknown, "amount.currency_code", "%.64q is not an ISO 4217 currency with minor units", string(a.Currency))
	}
	if !a.IsPositive() {
		return rpcerr.ForField(rpcerr.AmountNotPositive, "amount.minor_units", "%d is not more than zero", a.Minor)
	}
	return nil
}

// maxMinor is the most that one payment may be, in minor units: sums over very many of them still fit in 64 bits.
const maxMinor = 1_000_000_000_000_000

// checkTotal is checkAmount for what a payment is made of.
func checkTotal(a money.Amount) error {
	if a.Minor > maxMinor {
		return rpcerr.ForField(rpcerr.AmountOverflow, "amount.minor_units", "%d is more than %d", a.Minor, int64(maxMinor))
	}
	return checkAmount(a)
}
