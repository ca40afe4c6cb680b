package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// Set is one version of the rules.
type Set struct {
	// Provider and Bank say what may be taken for the same money at each stage.
	Provider match.Rules `json:"provider"`
	Bank     match.Rules `json:"bank"`
	// Due says when counterparts are due. What no entry is about is due on its own day.
	Due []Due `json:"due"`
	// Fees says what the provider keeps. Where no entry is about a movement, any fee will do.
	Fees []Fee `json:"fees"`
	// Rates says at what rates is converted. Where no entry is about two currencies on a day, any rate will do.
	Rates []Rate `json:"rates"`
	// RefusedDays is for how many days after it was due it is looked for a counterpart of what is said to have failed.
	RefusedDays int `json:"refused_days"`
	// Holidays are days that are no business days, besides Saturdays and Sundays.
	Holidays []breaks.Day `json:"holidays"`
	// Breaks says how breaks are judged; its holidays are those of the set.
	Breaks breaks.Policy `json:"breaks"`
}

// Policy is how breaks are judged by the set.
func (s Set) Policy() breaks.Policy {
	p := s.Breaks
	p.Holidays = s.Holidays
	return p
}

// About says which movements an entry is about.
type About struct {
	// Account with the provider; empty for all.
	Account string `json:"account,omitempty"`
	// Currency of ISO 4217; empty for all.
	Currency string `json:"currency,omitempty"`
	// Kind is "charge", "refund" and so on; none for all.
	Kind match.Kind `json:"kind,omitempty"`
}

// Due says how long a counterpart may take.
type Due struct {
	// Stage is where: the provider's report or the bank's statement.
	Stage match.Stage `json:"stage"`
	About
	// BusinessDays after the day of the movement on which the counterpart may still come.
	BusinessDays int `json:"business_days"`
}

// Fee says what the provider keeps of an amount: a share of it and a fixed part. It is the same for an amount less than zero.
type Fee struct {
	About
	// RatePPM is the share in millionths: 15,000 is 1.5 %.
	RatePPM int64 `json:"rate_ppm"`
	// FixedMinor is the fixed part, in minor units of the movement's currency.
	FixedMinor int64 `json:"fixed_minor"`
	// Rounding is what becomes of fractions of a minor unit in the share: "down", "up", "half_up" or "half_even".
	Rounding Rounding `json:"rounding"`
	// WithinAmount says that the fee is never more than the amount.
	WithinAmount bool `json:"within_amount,omitempty"`
}

// Rounding is a way to round what is not whole; all of them go by the size of the number and not by its sign.
type Rounding string

// The ways to round.
const (
	Down     Rounding = "down"      // to what is smaller
	Up       Rounding = "up"        // to what is larger
	HalfUp   Rounding = "half_up"   // to what is nearer, and from the middle to what is larger
	HalfEven Rounding = "half_even" // to what is nearer, and from the middle to what is even
)

// Default are the rules that a system begins with: what is taken in is due after two business days with the provider and
// after three at the bank, and any fee will do.
func Default() Set {
	return Set{
		Provider: match.DefaultProvider(), Bank: match.DefaultBank(),
		Due:  []Due{{Stage: match.StageProvider, BusinessDays: 2}, {Stage: match.StageBank, BusinessDays: 3}},
		Fees: []Fee{}, Rates: []Rate{}, RefusedDays: 30, Holidays: []breaks.Day{}, Breaks: breaks.DefaultPolicy(),
	}
}

// ErrInvalid means that a document is not a set of rules. The error that wraps it names the field.
var ErrInvalid = errors.New("no set of rules")

// Parse reads a document of JSON. What is not in it is as in [Default]; a field that there is not is an error, for a misspelt
// rule must not be silently without effect. All errors are ErrInvalid.
func Parse(document []byte) (Set, error) {
	byDefault := Default()
	set := byDefault
	set.Due, set.Fees, set.Rates, set.Holidays = nil, nil, nil, nil // a list that is there is whole, and takes nothing over
	in := json.NewDecoder(bytes.NewReader(document))
	in.DisallowUnknownFields()
	if err := in.Decode(&set); err != nil {
		return Set{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return Set{}, fmt.Errorf("%w: something follows the document", ErrInvalid)
	}
	if set.Due == nil {
		set.Due = byDefault.Due
	}
	if set.Fees == nil {
		set.Fees = byDefault.Fees
	}
	if set.Rates == nil {
		set.Rates = byDefault.Rates
	}
	if set.Holidays == nil {
		set.Holidays = byDefault.Holidays
	}
	if err := set.Validate(); err != nil {
		return Set{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return set, nil
}

// Document is the set as JSON: the same for the same set, and with nothing left to a default. Parse reads it.
func (s Set) Document() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding rules: %w", err)
	}
	return text, nil
}

const (
	maxBusinessDays = 365
	maxRefusedDays  = 3650
	wholePPM        = 1_000_000
)

// Validate says what is wrong with the set, each field by its name.
func (s Set) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	for _, r := range []struct {
		field string
		stage match.Stage
		rules match.Rules
	}{{"provider", match.StageProvider, s.Provider}, {"bank", match.StageBank, s.Bank}} {
		if err := r.rules.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.field, err))
		}
		if r.rules.Stage != r.stage {
			wrong(r.field+".stage", "is %q", r.rules.Stage)
		}
	}
	for i, d := range s.Due {
		at := fmt.Sprintf("due[%d]", i)
		if d.Stage != match.StageProvider && d.Stage != match.StageBank {
			wrong(at+".stage", "%q is neither provider nor bank", d.Stage)
		}
		if d.BusinessDays < 0 || d.BusinessDays > maxBusinessDays {
			wrong(at+".business_days", "%d is not 0 to %d", d.BusinessDays, maxBusinessDays)
		}
		d.validate(at, wrong)
	}
	for i, f := range s.Fees {
		at := fmt.Sprintf("fees[%d]", i)
		if f.RatePPM < 0 || f.RatePPM > wholePPM {
			wrong(at+".rate_ppm", "%d is not 0 to %d", f.RatePPM, wholePPM)
		}
		if f.FixedMinor < 0 || f.FixedMinor > 1<<53 {
			wrong(at+".fixed_minor", "%d is no fixed part of a fee", f.FixedMinor)
		}
		switch f.Rounding {
		case Down, Up, HalfUp, HalfEven:
		default:
			wrong(at+".rounding", "%q is none of down, up, half_up and half_even", f.Rounding)
		}
		if f.FixedMinor > 0 && f.Currency == "" {
			wrong(at+".currency", "a fixed part is an amount of a currency, and none is named")
		}
		f.validate(at, wrong)
	}
	for i := range s.Rates {
		s.Rates[i].validate(fmt.Sprintf("rates[%d]", i), s.Rates[:i], wrong)
	}
	if err := s.Policy().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("breaks: %w", err))
	}
	if len(s.Breaks.Holidays) > 0 {
		wrong("breaks.holidays", "they are the holidays of the set")
	}
	if s.RefusedDays < 0 || s.RefusedDays > maxRefusedDays {
		wrong("refused_days", "%d is not 0 to %d", s.RefusedDays, maxRefusedDays)
	}
	return errors.Join(errs...)
}

func (a About) validate(at string, wrong func(field, format string, args ...any)) {
	if a.Currency != "" {
		if _, err := money.ParseCurrency(a.Currency); err != nil {
			wrong(at+".currency", "%v", err)
		}
	}
}

// fits says whether an entry is about movements of an account, a currency and a kind.
func (a About) fits(account, currency string, kind match.Kind) bool {
	return (a.Account == "" || a.Account == account) && (a.Currency == "" || a.Currency == currency) && (a.Kind == 0 || a.Kind == kind)
}
