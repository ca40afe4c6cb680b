package provider

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// simEffect is a charge, an authorization, or what followed one, as the simulator shows it.
type simEffect struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	DeclineCode    string `json:"decline_code"`
	Charge         string `json:"charge"` // with what follows a charge
	AmountMinor    int64  `json:"amount_minor"`
	Currency       string `json:"currency"`
	IdempotencyKey string `json:"idempotency_key"`
	AuthorizeOnly  bool   `json:"authorize_only"`
	FeeMinor       int64  `json:"fee_minor"` // with a chargeback
}

// simError is an answer that is not 2xx.
type simError struct {
	Error struct {
		Type        string `json:"type"`
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code"`
		Param       string `json:"param"`
		Charge      string `json:"charge"`
	} `json:"error"`
}

// simEvent is a webhook's body.
type simEvent struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Created time.Time `json:"created"`
	Op      string    `json:"op"`
	Data    simEffect `json:"data"`
}

// event reads a webhook. A charge that it tells of is the charge it is about.
func (e simEvent) event() (Event, error) {
	if e.ID == "" || e.Created.IsZero() {
		return Event{}, errors.New("reading webhook: it has no id or no time")
	}
	event := Event{ID: e.ID, Type: e.Type, At: e.Created}
	_, asked := simPaths[Op(e.Op)]
	switch {
	case asked:
		event.Kind = EventOutcome
	case e.Op == "chargeback":
		event.Kind = EventChargeback
	case e.Op == "chargeback_reversal":
		event.Kind = EventChargebackReversal
	default:
		return event, nil
	}
	currency, err := money.ParseCurrency(e.Data.Currency)
	ofCharge := (e.Data.Charge != "") == (!asked || Op(e.Op).Follows())
	if err != nil || e.Data.ID == "" || !ofCharge || e.Data.AmountMinor <= 0 || asked == (e.Data.IdempotencyKey == "") {
		return Event{}, fmt.Errorf("reading webhook %s: %q of %q, %d %s under key %q, is no effect",
			e.ID, e.Data.ID, e.Data.Charge, e.Data.AmountMinor, e.Data.Currency, e.Data.IdempotencyKey)
	}
	event.ChargeID = cmp.Or(e.Data.Charge, e.Data.ID)
	event.Amount = money.Amount{Currency: currency, Minor: e.Data.AmountMinor}
	event.Outcome = Outcome{Kind: Succeeded, ID: e.Data.ID}
	switch {
	case !asked:
		event.Fee = money.Amount{Currency: currency, Minor: e.Data.FeeMinor}
		return event, nil
	case e.Data.Status == "declined":
		event.Outcome = declined(e.Data.ID, e.Data.DeclineCode)
	}
	event.Op, event.Key = Op(e.Op), e.Data.IdempotencyKey
	return event, nil
}

// outcome reads an effect. One that is not what was asked for is no answer to it: a person must look.
func (e simEffect) outcome(r Request) Outcome {
	got := money.Amount{Currency: money.Currency(e.Currency), Minor: e.AmountMinor}
	if e.ID == "" || e.IdempotencyKey != r.Key || got != r.Amount || e.Charge != r.ChargeID || e.AuthorizeOnly != (r.Op == Authorize) {
		return unknown("%s %q of %q is %s under key %q, asked for was %s of %q under %q",
			r.Op, e.ID, e.Charge, got, e.IdempotencyKey, r.Amount, r.ChargeID, r.Key)
	}
	switch {
	case e.Status == "declined" && !r.Op.Follows():
		return declined(e.ID, e.DeclineCode)
	case r.Op == Authorize && (e.Status == "authorized" || e.Status == "captured" || e.Status == "voided"),
		r.Op == Charge && e.Status == "captured",
		r.Op.Follows() && e.Status == "succeeded":
		return Outcome{Kind: Succeeded, ID: e.ID}
	}
	return unknown("%s %s has status %q", r.Op, e.ID, e.Status)
}

// created reads the answer to a POST.
func created(a answer, r Request) Outcome {
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return refusal(a)
	}
	var made simEffect
	if err := json.Unmarshal(a.body, &made); err != nil {
		return unknown("decoding answer: %w", err)
	}
	return made.outcome(r)
}

// found reads the answer to a lookup. Only a list that is there and empty says that there is nothing.
func found(a answer, r Request) Outcome {
	var list struct {
		Data []simEffect `json:"data"`
	}
	if a.status != http.StatusOK {
		return unknown("lookup was answered %d", a.status)
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return unknown("decoding answer: %w", err)
	}
	switch {
	case list.Data == nil || len(list.Data) > 1:
		return unknown("lookup was answered with %d results", len(list.Data))
	case len(list.Data) == 0:
		return Outcome{Kind: NotFound}
	}
	return list.Data[0].outcome(r)
}

// refusal reads an answer that is not 2xx. Only a card error and an invalid request are definite; a key in use,
// a body that came too slowly, too many requests and whatever did not come from the provider itself are not.
func refusal(a answer) Outcome {
	var e simError
	if err := json.Unmarshal(a.body, &e); err != nil {
		return unknown("answered %d without an error that can be read: %w", a.status, err)
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusNotFound:
	default:
		return unknown("answered %d %s %s", a.status, e.Error.Type, e.Error.Code)
	}
	switch e.Error.Type {
	case "card_error":
		return declined(e.Error.Charge, cmp.Or(e.Error.DeclineCode, e.Error.Code))
	case "invalid_request_error":
		o := declined("", e.Error.Code)
		if e.Error.Param == "payment_method" {
			o.Kind = MethodUnknown
		}
		return o
	}
	return unknown("answered %d %s %s", a.status, e.Error.Type, e.Error.Code)
}

// declined is a no, which always has a reason.
func declined(id, reason string) Outcome {
	return Outcome{Kind: Declined, ID: id, Reason: cmp.Or(reason, "declined")}
}

func unknown(format string, args ...any) Outcome {
	return Outcome{Kind: Unknown, Err: fmt.Errorf(format, args...)}
}
