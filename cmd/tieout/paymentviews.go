package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tieout/tieout/cmd/tieout/output"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

const paymentStatePrefix = "PAYMENT_STATE_"

var paymentView = output.View[*paymentv1.Payment]{
	JSON: output.Message[*paymentv1.Payment],
	Columns: []output.Column[*paymentv1.Payment]{
		{Name: "payment_id", Value: (*paymentv1.Payment).GetPaymentId},
		{Name: "state", Value: func(p *paymentv1.Payment) string { return enum(p.GetState(), paymentStatePrefix) }},
		{Name: "amount", Value: func(p *paymentv1.Payment) string { return amount(p.GetAmount()) }},
		{Name: "captured", Value: func(p *paymentv1.Payment) string { return amount(p.GetCaptured()) }},
		{Name: "refunded", Value: func(p *paymentv1.Payment) string { return amount(p.GetRefunded()) }},
		{Name: "payment_method", Value: (*paymentv1.Payment).GetPaymentMethod},
		{Name: "customer_id", Value: (*paymentv1.Payment).GetCustomerId},
		{Name: "reference", Value: (*paymentv1.Payment).GetReference},
		{Name: "create_time", Value: func(p *paymentv1.Payment) string { return instant(p.GetCreateTime()) }},
		{Name: "decline_reason", Value: (*paymentv1.Payment).GetDeclineReason},
	},
	Fields: []output.Column[*paymentv1.Payment]{
		{Name: "charged_back", Value: func(p *paymentv1.Payment) string { return amount(p.GetChargedBack()) }},
		{Name: "update_time", Value: func(p *paymentv1.Payment) string { return instant(p.GetUpdateTime()) }},
		{Name: "provider_key", Value: (*paymentv1.Payment).GetProviderKey},
		{Name: "provider_charge_id", Value: (*paymentv1.Payment).GetProviderChargeId},
	},
	Sections: func(w io.Writer, p *paymentv1.Payment) error { return askedSections(w, p.GetOperations()) },
}

// askedSections print what the provider was asked for, and each exchange with it about that.
func askedSections(w io.Writer, operations []*paymentv1.Operation) error {
	if err := output.Section(w, "Operations", askedColumns, operations); err != nil {
		return err
	}
	var calls []providerCall
	for _, o := range operations {
		for _, c := range o.GetCalls() {
			calls = append(calls, providerCall{o, c})
		}
	}
	return output.Section(w, "Calls", callColumns, calls)
}

var askedColumns = []output.Column[*paymentv1.Operation]{
	{Name: "create_time", Value: func(o *paymentv1.Operation) string { return instant(o.GetCreateTime()) }},
	{Name: "kind", Value: func(o *paymentv1.Operation) string { return enum(o.GetKind(), "OPERATION_KIND_") }},
	{Name: "state", Value: func(o *paymentv1.Operation) string { return enum(o.GetState(), "OPERATION_STATE_") }},
	{Name: "amount", Value: func(o *paymentv1.Operation) string { return amount(o.GetAmount()) }},
	{Name: "provider_key", Value: (*paymentv1.Operation).GetProviderKey},
	{Name: "provider_id", Value: (*paymentv1.Operation).GetProviderId},
	{Name: "sends", Value: func(o *paymentv1.Operation) string { return strconv.Itoa(int(o.GetSends())) }},
	{Name: "send_time", Value: func(o *paymentv1.Operation) string { return instant(o.GetSendTime()) }},
	{Name: "inquiry_time", Value: func(o *paymentv1.Operation) string { return instant(o.GetInquiryTime()) }},
	{Name: "update_time", Value: func(o *paymentv1.Operation) string { return instant(o.GetUpdateTime()) }},
	{Name: "decline_reason", Value: (*paymentv1.Operation).GetDeclineReason},
}

// providerCall is an exchange with the provider, and what it was about.
type providerCall struct {
	about *paymentv1.Operation
	*paymentv1.ProviderCall
}

var callColumns = []output.Column[providerCall]{
	{Name: "time", Value: func(c providerCall) string { return instant(c.GetCallTime()) }},
	{Name: "kind", Value: func(c providerCall) string { return enum(c.about.GetKind(), "OPERATION_KIND_") }},
	{Name: "provider_key", Value: func(c providerCall) string { return c.about.GetProviderKey() }},
	{Name: "ask", Value: func(c providerCall) string { return c.GetAsk() }},
	{Name: "outcome", Value: func(c providerCall) string { return c.GetOutcome() }},
	{Name: "detail", Value: func(c providerCall) string { return c.GetDetail() }},
}

var idempotencyView = output.View[*paymentv1.IdempotencyRecord]{
	JSON: output.Message[*paymentv1.IdempotencyRecord],
	Columns: []output.Column[*paymentv1.IdempotencyRecord]{
		{Name: "caller", Value: (*paymentv1.IdempotencyRecord).GetCaller},
		{Name: "method", Value: (*paymentv1.IdempotencyRecord).GetMethod},
		{Name: "idempotency_key", Value: (*paymentv1.IdempotencyRecord).GetIdempotencyKey},
		{Name: "state", Value: func(r *paymentv1.IdempotencyRecord) string { return enum(r.GetState(), "IDEMPOTENCY_STATE_") }},
		{Name: "refusal_reason", Value: (*paymentv1.IdempotencyRecord).GetRefusalReason},
		{Name: "resource", Value: (*paymentv1.IdempotencyRecord).GetResource},
		{Name: "attempts", Value: func(r *paymentv1.IdempotencyRecord) string { return strconv.Itoa(int(r.GetAttempts())) }},
		{Name: "replays", Value: func(r *paymentv1.IdempotencyRecord) string { return pieces(r.GetReplays()) }},
		{Name: "claim", Value: (*paymentv1.IdempotencyRecord).GetClaim},
		{Name: "lease_expire_time", Value: func(r *paymentv1.IdempotencyRecord) string { return instant(r.GetLeaseExpireTime()) }},
		{Name: "epoch", Value: func(r *paymentv1.IdempotencyRecord) string { return pieces(r.GetEpoch()) }},
		{Name: "create_time", Value: func(r *paymentv1.IdempotencyRecord) string { return instant(r.GetCreateTime()) }},
		{Name: "expire_time", Value: func(r *paymentv1.IdempotencyRecord) string { return instant(r.GetExpireTime()) }},
	},
	Sections: func(w io.Writer, r *paymentv1.IdempotencyRecord) error {
		if err := output.Section(w, "Fingerprint", fingerprintColumns, r.GetFingerprintFields()); err != nil {
			return err
		}
		return askedSections(w, r.GetOperations())
	},
}

var fingerprintColumns = []output.Column[*paymentv1.FingerprintField]{
	{Name: "field", Value: (*paymentv1.FingerprintField).GetName},
	{Name: "digest", Value: (*paymentv1.FingerprintField).GetDigest},
}

var providerView = output.View[*paymentv1.Provider]{
	JSON: output.Message[*paymentv1.Provider],
	Columns: []output.Column[*paymentv1.Provider]{
		{Name: "name", Value: (*paymentv1.Provider).GetName},
		{Name: "breaker", Value: breakerOf},
		{Name: "forced_by", Value: (*paymentv1.Provider).GetForcedBy},
		{Name: "force_reason", Value: (*paymentv1.Provider).GetForceReason},
		{Name: "force_time", Value: func(p *paymentv1.Provider) string { return instant(p.GetForceTime()) }},
		{Name: "in_doubt", Value: doubtsOf},
		{Name: "operations", Value: func(p *paymentv1.Provider) string { return strings.Join(p.GetOperations(), ", ") }},
		{Name: "call_timeout", Value: func(p *paymentv1.Provider) string { return span(p.GetCallTimeout()) }},
		{Name: "not_found_lag", Value: func(p *paymentv1.Provider) string { return span(p.GetNotFoundLag()) }},
		{Name: "key_lifetime", Value: func(p *paymentv1.Provider) string { return span(p.GetKeyLifetime()) }},
	},
	Sections: func(w io.Writer, p *paymentv1.Provider) error {
		return output.Section(w, "In doubt", doubtColumns, p.GetInDoubt())
	},
}

var doubtColumns = []output.Column[*paymentv1.MoneyInDoubt]{
	{Name: "amount", Value: func(d *paymentv1.MoneyInDoubt) string { return amount(d.GetAmount()) }},
	{Name: "operations", Value: func(d *paymentv1.MoneyInDoubt) string { return pieces(d.GetOperations()) }},
	{Name: "oldest_time", Value: func(d *paymentv1.MoneyInDoubt) string { return instant(d.GetOldestTime()) }},
	{Name: "oldest_age", Value: func(d *paymentv1.MoneyInDoubt) string { return age(d, time.Now()) }},
}

func breakerOf(p *paymentv1.Provider) string { return enum(p.GetBreaker(), "BREAKER_STATE_") }

// doubtsOf is what is in doubt, per currency.
func doubtsOf(p *paymentv1.Provider) string {
	var texts []string
	for _, d := range p.GetInDoubt() {
		texts = append(texts, fmt.Sprintf("%s in %d", amount(d.GetAmount()), d.GetOperations()))
	}
	return strings.Join(texts, ", ")
}

// age is for how long the oldest of what is in doubt has been so.
func age(d *paymentv1.MoneyInDoubt, now time.Time) string {
	if d.GetOldestTime() == nil {
		return ""
	}
	return max(0, now.Sub(d.GetOldestTime().AsTime())).Truncate(time.Second).String()
}

// span is a time that the server says, for people; empty for none.
func span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return d.AsDuration().String()
}
