package payment

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
	"github.com/tieout/tieout/services/payment/provider"
)

func amountFromProto(a *commonv1.Amount) money.Amount {
	return money.Amount{Currency: money.Currency(a.GetCurrencyCode()), Minor: a.GetMinorUnits()}
}

func amountToProto(a money.Amount) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

// feeToProto gives nil for none.
func feeToProto(fee money.Amount) *commonv1.Amount {
	if fee.IsZero() {
		return nil
	}
	return amountToProto(fee)
}

// amountOrAll gives the zero amount for none, which stands for all there is.
func amountOrAll(a *commonv1.Amount) (money.Amount, error) {
	if a == nil {
		return money.Amount{}, nil
	}
	amount := amountFromProto(a)
	return amount, checkAmount(amount)
}

// paymentToProto gives nil for none.
func paymentToProto(p *payment) *paymentv1.Payment {
	if p == nil {
		return nil
	}
	in := func(minor int64) *commonv1.Amount {
		return amountToProto(money.Amount{Currency: p.Amount.Currency, Minor: minor})
	}
	return &paymentv1.Payment{
		PaymentId: p.ID.String(), State: paymentv1.PaymentState(p.State), Amount: amountToProto(p.Amount),
		PaymentMethod: p.Method, CustomerId: p.CustomerID, Reference: p.Reference, ProviderKey: p.ProviderKey,
		ProviderChargeId: p.ChargeID, DeclineReason: p.DeclineReason,
		CreateTime: timestamppb.New(p.CreatedAt), UpdateTime: timestamppb.New(p.UpdatedAt),
		Captured: in(p.Captured), Refunded: in(p.Refunded), ChargedBack: in(p.ChargedBack),
	}
}

func operationsToProto(all []operation) []*paymentv1.Operation {
	out := make([]*paymentv1.Operation, len(all))
	for i, o := range all {
		out[i] = &paymentv1.Operation{
			Kind: paymentv1.OperationKind(opNumber(o.Op)), State: paymentv1.OperationState(o.State), Amount: amountToProto(o.Amount),
			ProviderKey: o.Key, ProviderId: o.ID, DeclineReason: o.DeclineReason, Sends: o.Sends,
			SendTime: timeToProto(o.LastSentAt), InquiryTime: timeToProto(o.LookAt),
			CreateTime: timestamppb.New(o.CreatedAt), UpdateTime: timestamppb.New(o.UpdatedAt),
		}
		for _, c := range o.Calls {
			out[i].Calls = append(out[i].Calls, &paymentv1.ProviderCall{
				CallTime: timestamppb.New(c.At), Ask: c.Ask, Outcome: c.Outcome, Detail: c.Detail,
			})
		}
	}
	return out
}

func withOperations(p payment, all []operation) *paymentv1.Payment {
	out := paymentToProto(&p)
	out.Operations = operationsToProto(all)
	return out
}

func witnessToProto(w witness) *paymentv1.Witness {
	out := &paymentv1.Witness{
		Kind: paymentv1.OperationKind(opNumber(w.operation.Op)), ProviderKey: w.operation.Key, State: paymentv1.OperationState(w.operation.State),
		Said: w.said.Kind.String(), ProviderId: w.said.ID, Detail: w.said.Reason,
	}
	if w.said.Err != nil {
		out.Detail = w.said.Err.Error()
	}
	return out
}

func recordToProto(k known) *paymentv1.IdempotencyRecord {
	out := &paymentv1.IdempotencyRecord{
		Caller: k.Caller, Method: k.Method, IdempotencyKey: k.Key, State: paymentv1.IdempotencyState(k.State), Resource: k.Resource,
		Attempts: int32(k.Attempts), Replays: k.Replays, Epoch: k.Epoch, LeaseExpireTime: timeToProto(&k.LeaseUntil),
		CreateTime: timestamppb.New(k.CreatedAt), ExpireTime: timeToProto(&k.ExpiresAt), Operations: operationsToProto(k.operations),
	}
	if k.Claim != uuid.Nil {
		out.Claim = k.Claim.String()
	}
	if k.Refusal != nil {
		out.RefusalReason = string(k.Refusal.Reason)
	}
	for i, digest := range k.FieldDigests {
		if i < len(k.fields) {
			out.FingerprintFields = append(out.FingerprintFields, &paymentv1.FingerprintField{Name: k.fields[i], Digest: hex.EncodeToString(digest[:])})
		}
	}
	return out
}

// breakerToProto: the proto counts from one.
func breakerToProto(s provider.BreakerState) paymentv1.BreakerState {
	return paymentv1.BreakerState(s) + 1
}

// timeToProto gives nil for none.
func timeToProto(at *time.Time) *timestamppb.Timestamp {
	if at == nil || at.IsZero() {
		return nil
	}
	return timestamppb.New(*at)
}

const accountPrefix = "LEDGER_ACCOUNT_"

// accountFromProto gives "" for none.
func accountFromProto(a paymentv1.LedgerAccount) ledger.Account {
	if a == paymentv1.LedgerAccount_LEDGER_ACCOUNT_UNSPECIFIED {
		return ""
	}
	return ledger.Account(strings.ToLower(strings.TrimPrefix(a.String(), accountPrefix)))
}

func accountToProto(a ledger.Account) paymentv1.LedgerAccount {
	return paymentv1.LedgerAccount(paymentv1.LedgerAccount_value[accountPrefix+strings.ToUpper(string(a))])
}

func balanceToProto(b balance) *paymentv1.Balance {
	return &paymentv1.Balance{
		Account: accountToProto(b.Account), Balance: amountToProto(b.Balance),
		Debits: amountToProto(b.Debits), Credits: amountToProto(b.Credits),
	}
}

func entryToProto(e entry) *paymentv1.Entry {
	return &paymentv1.Entry{
		JournalId: e.Journal.String(), Line: int32(e.Line), Account: accountToProto(e.Posting.Account),
		Amount: amountToProto(e.Posting.Amount), Kind: paymentv1.JournalKind(e.Kind), PaymentId: e.Payment.String(),
		Reference: e.Reference, ProviderId: e.ProviderID, Key: e.Key,
		EffectiveTime: timestamppb.New(e.EffectiveAt), CreateTime: timestamppb.New(e.CreatedAt),
	}
}

func entryFilterFromProto(r *paymentv1.ListEntriesRequest) (f entryFilter, err error) {
	f.account = accountFromProto(r.GetAccount())
	if f.currency, err = currencyFilter(r.GetCurrencyCode()); err != nil {
		return f, err
	}
	if r.GetPaymentId() != "" {
		if f.payment, err = id.Parse[paymentKind](r.GetPaymentId()); err != nil {
			return f, rpcerr.ForField(rpcerr.RequestInvalid, "payment_id", "%q is no id of a payment", r.GetPaymentId())
		}
	}
	if f.since, err = timeFromProto("since", r.GetSince()); err != nil {
		return f, err
	}
	f.until, err = timeFromProto("until", r.GetUntil())
	f.since, f.until = roundUp(f.since), roundUp(f.until)
	return f, err
}

// currencyFilter gives "" for none.
func currencyFilter(code string) (money.Currency, error) {
	if code == "" {
		return "", nil
	}
	c, err := money.ParseCurrency(code)
	if err != nil {
		return "", rpcerr.ForField(rpcerr.CurrencyUnknown, "currency_code", "%q is not an ISO 4217 currency with minor units", code)
	}
	return c, nil
}

// timeFromProto gives the zero time for none.
func timeFromProto(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, rpcerr.ForField(rpcerr.RequestInvalid, field, "is not a time of the years 1 to 9999")
	}
	return t.AsTime(), nil
}

// minuteFromProto is timeFromProto of a whole minute.
func minuteFromProto(field string, t *timestamppb.Timestamp) (time.Time, error) {
	at, err := timeFromProto(field, t)
	if err == nil && !at.Equal(at.Truncate(time.Minute)) {
		err = rpcerr.ForField(rpcerr.RequestInvalid, field, "is no whole minute")
	}
	return at, err
}

// roundUp gives the first time that the database can tell that is not before t; it knows microseconds, and cuts off
// what is below.
func roundUp(t time.Time) time.Time { return t.Add(time.Microsecond - 1).Truncate(time.Microsecond) }
