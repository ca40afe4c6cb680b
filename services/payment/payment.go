package payment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
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
)

// errTooYoung says why a charge that the provider does not know of stays in doubt for a while.
var errTooYoung = errors.New("the provider does not know of the charge, which may still be on its way")

// maxCalls is how many charges and refunds one process works on at once.
const maxCalls = 64

// payments holds what the use cases share.
type payments struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	provider provider.Provider
	log      *slog.Logger
	tracer   trace.Tracer

	charges *errand.Errands[*chargeCommand, ending, *payment]
	refunds *errand.Errands[*refundCommand, ending, *payment]
	// outcomes writes how the work on both ends.
	outcomes *groupcommit.Group[ending, *payment]
}

// begun is how a charge or a refund begins.
type begun = groupcommit.Result[idem.Begun[*payment]]

// PaymentID identifies a payment.
type PaymentID = id.ID[paymentKind]

type paymentKind struct{}

// Prefix implements id.Kind.
func (paymentKind) Prefix() string { return "pay" }

// payment is one charge and what became of it.
type payment struct {
	ID            PaymentID    `json:"id"`
	State         state        `json:"state"`
	Amount        money.Amount `json:"amount"`
	Method        string       `json:"method"`
	CustomerID    string       `json:"customer_id"`
	Reference     string       `json:"reference"`
	ProviderKey   string       `json:"provider_key"`
	ChargeID      string       `json:"charge_id"`      // the provider's
	RefundID      string       `json:"refund_id"`      // the provider's
	DeclineReason string       `json:"decline_reason"` // the provider's code
	LastSentAt    *time.Time   `json:"last_sent_at"`   // nil: the charge never left
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`

	readAt time.Time // by the database's clock, which wrote LastSentAt; zero for one that was not read alone
}

func (p payment) charge() provider.Request {
	return provider.Request{Op: provider.Charge, Key: p.ProviderKey, Amount: p.Amount, PaymentMethod: p.Method, Reference: p.Reference}
}

func (p payment) refund() provider.Request {
	return provider.Request{Op: provider.Refund, Key: p.ProviderKey + "/refund", ChargeID: p.ChargeID, Amount: p.Amount}
}

// untilSettled is how much longer, from the read, the provider's knowing nothing of the charge does not count.
func (p payment) untilSettled(c provider.Capabilities) time.Duration {
	if p.LastSentAt == nil {
		return 0
	}
	return max(0, p.LastSentAt.Add(c.CallTimeout+c.NotFoundLag).Sub(p.readAt))
}

// mayResend tells whether the provider still remembers the key for sure, so that a second send has no second
// effect; past 80 % of the key's lifetime it is only asked.
func (p payment) mayResend(c provider.Capabilities) bool {
	return p.LastSentAt == nil || c.KeyLifetime == 0 || p.readAt.Sub(p.CreatedAt) < c.KeyLifetime/5*4
}

// request is who asks, under which key, and for which saga.
type request struct {
	caller, key string
	epoch       int64
	traceparent string    // of the saga's step; empty for the call's own trace
	token       uuid.UUID // tells this sending from every other one
}

func (r request) idem(method string, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Epoch: r.epoch, Fields: fields}
}

// providerKey is the key under which the provider knows the charge: the same for the same request, for ever.
func (r request) providerKey() string {
	sum := sha256.Sum256([]byte(r.caller + "\n" + r.key))
	return hex.EncodeToString(sum[:])
}

// lease is how long one request may work: on the calls it may make, and on what it writes.
func (s *payments) lease() time.Duration {
	return callsPerRequest*s.provider.Capabilities().CallTimeout + leaseMargin
}

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

// checkAmount refuses an amount that nobody can be charged.
func checkAmount(a money.Amount) error {
	if _, err := money.ParseCurrency(string(a.Currency)); err != nil {
		return rpcerr.ForField(rpcerr.CurrencyUnknown, "amount.currency_code", "%q is not an ISO 4217 currency with minor units", string(a.Currency))
	}
	if !a.IsPositive() {
		return rpcerr.ForField(rpcerr.AmountNotPositive, "amount.minor_units", "%d is not more than zero", a.Minor)
	}
	return nil
}
