package provider

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// Why a webhook is not believed.
var (
	// ErrForged says that a webhook bears no signature of ours, or one of something else.
	ErrForged = errors.New("the webhook is not signed with a secret of this account")
	// ErrStale says that a webhook is authentic and was signed too long ago, or for the future: it may be replayed.
	ErrStale = errors.New("the webhook was signed at another time")
)

// EventKind is what an event is about. Events are kept before they are acted upon, so the numbers stay as they are; and
// so do those of Kind.
type EventKind int

// The kinds of events.
const (
	// EventOther is about nothing that we keep. It says no more than its ID, time and type.
	EventOther EventKind = iota
	// EventOutcome tells what became of a request.
	EventOutcome
	// EventChargeback: the customer's bank took money of a charge back. Several events may tell of one chargeback, each
	// with an ID of its own: which one it is says Outcome.ID.
	EventChargeback
	// EventChargebackReversal: a chargeback was decided for us, and the provider has the money again. Outcome.ID is the
	// chargeback's, and there may be several events of it, too.
	EventChargebackReversal
)

// String names the kind.
func (k EventKind) String() string {
	names := [...]string{"other", "outcome", "chargeback", "chargeback reversal"}
	if k < 0 || int(k) >= len(names) {
		return "no kind of event"
	}
	return names[k]
}

// Event is what a provider tells of its own accord: what became of a request, or something that nobody asked for.
// It may come more than once, late, and before an older one.
type Event struct {
	// Kind is what it is about.
	Kind EventKind
	// ID is the provider's; the same for every delivery of the same event.
	ID string
	// At is when it happened, by the provider's clock.
	At time.Time
	// Type is the provider's word for what happened.
	Type string
	// Op is what was asked for, with EventOutcome only.
	Op Op
	// Key is the request's, with EventOutcome only; empty when the provider does not say: then ChargeID tells what it is
	// about.
	Key string
	// ChargeID is the provider's id of the charge or authorization that it is about.
	ChargeID string
	// Amount is what was taken, set aside, released or given back: always more than zero.
	Amount money.Amount
	// Fee is what the provider takes for a chargeback, and less than zero what it gives back with a reversal. It may be
	// in another currency than Amount, and is the zero value when the provider does not say: then its report does.
	Fee money.Amount
	// Outcome is what became of it, Succeeded or Declined. That of a chargeback and its reversal is Succeeded, and its ID
	// the chargeback's.
	Outcome Outcome
}

// WebhookConfig says which webhooks are believed.
type WebhookConfig struct {
	// Secret signs them. Without one no webhook is believed.
	Secret string `koanf:"secret"`
	// NextSecret does too, while the provider changes from one to the other.
	NextSecret string `koanf:"next_secret"`
	// Tolerance is how far the time of signing may be from now. Default 5 minutes.
	Tolerance time.Duration `koanf:"tolerance"`
}

const defaultTolerance = 5 * time.Minute

// verify checks a header "t=SECONDS,v1=HEX[,v1=HEX…]", where HEX is the HMAC-SHA256 over "SECONDS.BODY". The age counts
// only once the signature is right: nobody else is told what is wrong.
func (c WebhookConfig) verify(header string, body []byte, now time.Time) error {
	var seconds string
	var signatures [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			seconds = value
		case "v1":
			if s, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, s)
			}
		}
	}
	if !c.signed(signatures, seconds, body) {
		return ErrForged
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: its time is %q", ErrForged, seconds)
	}
	if age := now.Sub(time.Unix(unix, 0)).Abs(); age > cmp.Or(c.Tolerance, defaultTolerance) {
		return fmt.Errorf("%w: %s from now", ErrStale, age.Round(time.Second))
	}
	return nil
}

// signed tells whether one of the signatures was made with one of the secrets.
func (c WebhookConfig) signed(signatures [][]byte, seconds string, body []byte) bool {
	for _, secret := range []string{c.Secret, c.NextSecret} {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(seconds + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, s := range signatures {
			if hmac.Equal(s, want) {
				return true
			}
		}
	}
	return false
}
