package pspsim

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A book is what the provider knows: the fold of its journal, and the requests
// in flight. Decisions are taken under mu, in which order they also enter the
// journal; they are shown to nobody before the journal has them.
type book struct {
	journal     *journal
	now         func() time.Time
	keyLifetime time.Duration // how long a key is remembered; negative: for ever

	mu      sync.Mutex
	entries []Entry             // append only, entries[i].Seq = i+1
	claims  map[string]*claim   // by idempotency key
	effects map[string][]*Entry // by idempotency key, for ever: what lookups find
	charges map[string]*charge
	// chargebacks are those that are not reversed, by id.
	chargebacks map[string]Entry
}

// A claim binds an idempotency key to the first request that used it.
type claim struct {
	fingerprint string
	at          time.Time // of the first request
	busy        bool      // a request is between begin and end
	requests    int       // how many began without finding an effect
	effect      *Entry    // nil while there is none
}

// A charge is a charge, an authorization or a decline, and what became of it.
type charge struct {
	entry    Entry
	captured int64 // minor units; never above entry.AmountMinor
	refunded int64 // minor units; never above captured
	voided   bool
	// chargedBack is what the customer's bank has taken back, in minor units; never above captured.
	chargedBack int64
}

func openBook(opts Options) (b *book, torn bool, err error) {
	b = &book{
		now: opts.Now, keyLifetime: opts.KeyLifetime,
		claims: map[string]*claim{}, effects: map[string][]*Entry{}, charges: map[string]*charge{},
		chargebacks: map[string]Entry{},
	}
	b.journal, torn, err = openJournal(opts.Journal, b.apply)
	return b, torn, err
}

// begin claims key for a request. If the key has had its effect already, that
// is returned, once durable, and the request is over. If not, requests counts
// how many have tried, this one included, and the caller must end the claim.
// Errors are [*apiError]s: the key is bound to another request, or in flight.
func (b *book) begin(key, fingerprint string) (effect *Entry, requests int, err error) {
	b.mu.Lock()
	c := b.claims[key]
	if c == nil || b.forgotten(c) {
		c = &claim{fingerprint: fingerprint, at: b.now()}
		b.claims[key] = c
	}
	if c.fingerprint != fingerprint {
		b.mu.Unlock()
		return nil, 0, &apiError{status: http.StatusConflict, Type: typeIdempotency, Code: codeKeyReused,
			Message: "this idempotency key was first used with another request"}
	}
	if c.busy {
		b.mu.Unlock()
		return nil, 0, &apiError{status: http.StatusConflict, Type: typeIdempotency, Code: codeKeyInFlight,
			Message: "another request with this idempotency key is still in flight", retryAfter: "1"}
	}
	if c.effect != nil {
		effect = c.effect
		b.mu.Unlock()
		return effect, 0, b.await(effect.Seq)
	}
	defer b.mu.Unlock()
	c.busy = true
	c.requests++
	return nil, c.requests, nil
}

// forgotten says whether a key is past its lifetime, so that a request with it is a new one.
func (b *book) forgotten(c *claim) bool {
	return !c.busy && b.keyLifetime >= 0 && b.now().Sub(c.at) >= b.keyLifetime
}

// forget has all keys past their lifetime, but for those in flight.
func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.claims, func(_ string, c *claim) bool { return !c.busy })
}

// end releases a claim that begin handed out.
func (b *book) end(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims[key].busy = false
}

// record makes e happen: it gives it its place and time and returns it once it
// is durable. An error leaves open whether it happened.
func (b *book) record(e Entry) (Entry, error) {
	b.mu.Lock()
	e, err := b.recordLocked(e)
	b.mu.Unlock()
	if err != nil {
		return Entry{}, err
	}
	return e, b.await(e.Seq)
}

func (b *book) recordLocked(e Entry) (Entry, error) {
	e.Seq = int64(len(b.entries)) + 1
	e.At = b.now().UTC().Truncate(time.Microsecond)
	if e.Type == TypeCharge || e.Type == TypeCapture {
		e.FeeMinor = feeOf(e.AmountMinor)
	}
	if err := b.apply(e); err != nil {
		return Entry{}, err
	}
	b.journal.append(e)
	return e, nil
}

// apply folds e into what is known. It is the same when things happen and when
// they are read back from the journal.
func (b *book) apply(e Entry) error {
	switch e.Type {
	case TypeAuthorize, TypeDecline:
		b.charges[e.ID] = &charge{entry: e}
	case TypeCharge:
		b.charges[e.ID] = &charge{entry: e, captured: e.AmountMinor}
	case TypeCapture, TypeVoid, TypeRefund:
		c := b.charges[e.Charge]
		if c == nil {
			return fmt.Errorf("%s %s follows no charge", e.Type, e.ID)
		}
		if err := c.apply(e); err != nil {
			return err
		}
	case TypeChargeback, TypeChargebackReversal:
		if err := b.applyChargeback(e); err != nil {
			return err
		}
		b.entries = append(b.entries, e)
		return nil // no request is answered with it
	default:
		return fmt.Errorf("entry %s has the unknown type %q", e.ID, e.Type)
	}
	c := b.claims[e.IdempotencyKey]
	if c == nil || c.effect != nil {
		c = &claim{fingerprint: e.Fingerprint, at: e.At}
		b.claims[e.IdempotencyKey] = c
	}
	c.effect = &e
	b.effects[e.IdempotencyKey] = append(b.effects[e.IdempotencyKey], &e)
	b.entries = append(b.entries, e)
	return nil
}

// apply folds what follows a charge into it.
func (c *charge) apply(e Entry) error {
	if left, err := c.left(e.Type); err != nil || e.AmountMinor > left {
		return fmt.Errorf("%s %s has no charge to cover it", e.Type, e.ID)
	}
	switch e.Type {
	case TypeCapture:
		c.captured = e.AmountMinor
	case TypeVoid:
		c.voided = true
	default:
		c.refunded += e.AmountMinor
	}
	return nil
}

// feeOf is what the provider keeps of an amount: 1.5 % and 20, in minor units, and never more than all.
func feeOf(minor int64) int64 {
	return min(minor, minor/1000*15+minor%1000*15/1000+20)
}

// await returns once the entry seq is durable.
func (b *book) await(seq int64) error {
	if err := b.journal.wait(seq); err != nil {
		return fmt.Errorf("awaiting entry %d: %w", seq, err)
	}
	return nil
}

// effectsOf returns the durable effects of an idempotency key: more than one if
// it was forgotten and used again.
func (b *book) effectsOf(key string) ([]*Entry, error) {
	b.mu.Lock()
	effects := slices.Clone(b.effects[key])
	b.mu.Unlock()
	if len(effects) == 0 {
		return nil, nil
	}
	return effects, b.await(effects[len(effects)-1].Seq)
}

// chargeByID returns a charge as it stands, once that is durable; nil if there
// is none.
func (b *book) chargeByID(id string) (*charge, error) {
	b.mu.Lock()
	c := b.charges[id]
	if c == nil {
		b.mu.Unlock()
		return nil, nil
	}
	stands := *c
	latest := int64(len(b.entries))
	b.mu.Unlock()
	return &stands, b.await(latest)
}

// methodOf returns the payment method of a charge, empty if there is no such charge.
func (b *book) methodOf(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.charges[id]; c != nil {
		return c.entry.PaymentMethod
	}
	return ""
}

// durable returns every durable entry. The caller must not change them.
func (b *book) durable() []Entry {
	last, _ := b.journal.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[:last:last]
}

func newID(prefix string) string {
	return prefix + strings.ToLower(rand.Text())
}
