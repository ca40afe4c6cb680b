package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
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

// payments holds what the use cases share.
type payments struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	provider provider.Provider
	log      *slog.Logger
}

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

func (p payment) charge() provider.ChargeRequest {
	return provider.ChargeRequest{Key: p.ProviderKey, Amount: p.Amount, PaymentMethod: p.Method, Reference: p.Reference}
}

func (p payment) refund() provider.RefundRequest {
	return provider.RefundRequest{Key: p.ProviderKey + "/refund", ChargeID: p.ChargeID, Amount: p.Amount}
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

// request is who asks, and under which key.
type request struct {
	caller, key string
}

func (r request) idem(method string, fields ...idem.Field) idem.Request {
	return idem.Request{Caller: r.caller, Method: method, Key: r.key, Fields: fields}
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

// outlive gives the context of a request's work once its intent is durable: it goes on when the caller leaves.
func (s *payments) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.lease())
}

// record changes a payment as seen, with its journal and its event, in tx. Errors: errChanged.
func (s *payments) record(ctx context.Context, tx *pg.Tx, seen, becomes payment, by change) (payment, error) {
	var err error
	if becomes.State, err = seen.State.after(by); err != nil {
		return payment{}, err
	}
	st := newStore(tx)
	if becomes, err = st.save(ctx, seen, becomes); err != nil {
		return payment{}, err
	}
	if entry := journalOf[by]; entry != nil {
		journal, err := entry(becomes.Amount)
		if err != nil {
			return payment{}, fmt.Errorf("making journal: %w", err)
		}
		if err := st.post(ctx, becomes.ID, journal); err != nil {
			return payment{}, err
		}
	}
	return becomes, s.outbox.Write(ctx, tx, eventOf(by, becomes))
}

// journalOf is what changes mean in the ledger; the others move no money.
var journalOf = map[change]func(money.Amount) (ledger.Journal, error){
	changeCapture: ledger.Capture,
	changeRefund:  ledger.Refund,
}

// recordAnswer records what the provider said about a charge: Succeeded, Declined or MethodUnknown.
func (s *payments) recordAnswer(ctx context.Context, tx *pg.Tx, seen payment, said provider.Outcome) (payment, error) {
	becomes := seen
	becomes.ChargeID = said.ID
	if said.Kind == provider.Succeeded {
		return s.record(ctx, tx, seen, becomes, changeCapture)
	}
	becomes.DeclineReason = said.Reason
	return s.record(ctx, tx, seen, becomes, changeDecline)
}

// abandon gives a claim back, with what is written; it is a claim's Abandon.
type abandon func(context.Context, func(context.Context, *pg.Tx) error) error

// inDoubt ends a request whose charge may or may not have happened: PAYMENT_OUTCOME_UNKNOWN.
func (s *payments) inDoubt(ctx context.Context, giveBack abandon, seen payment, why error) error {
	retryAfter := askAgain
	if errors.Is(why, errTooYoung) {
		retryAfter = seen.untilSettled(s.provider.Capabilities())
	}
	s.log.WarnContext(ctx, "payment is in doubt", slog.String("payment_id", seen.ID.String()), slog.Any("error", why))
	err := giveBack(ctx, func(ctx context.Context, tx *pg.Tx) error {
		if seen.State != capturing {
			return nil // the world was told
		}
		_, err := s.record(ctx, tx, seen, seen, changeLose)
		return err
	})
	if err != nil {
		return superseded(err)
	}
	return outcomeUnknown(retryAfter)
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
