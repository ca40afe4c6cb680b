package pspsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A book is what the provider knows: the fold of its journal, and the requests
// in flight. Decisions are taken under mu, in which order they also enter the
// journal; they are shown to nobody before the journal has them.
type book struct {
	journal *journal

	mu      sync.Mutex
	entries []Entry           // append only, entries[i].Seq = i+1
	claims  map[string]*claim // by idempotency key
	charges map[string]*charge
}

// A claim binds an idempotency key to the first request that used it.
type claim struct {
	fingerprint string
	busy        bool   // a request is between begin and end
	requests    int    // how many began without finding an effect
	effect      *Entry // nil while there is none
}

// A charge is a capture or a decline, and what became of it.
type charge struct {
	entry    Entry
	refunded int64 // minor units; never above entry.AmountMinor
}

func openBook(path string) (b *book, torn bool, err error) {
	b = &book{claims: map[string]*claim{}, charges: map[string]*charge{}}
	b.journal, torn, err = openJournal(path, b.apply)
	return b, torn, err
}

// begin claims key for a request. If the key has had its effect already, that
// is returned, once durable, and the request is over. If not, requests counts
// how many have tried, this one included, and the caller must end the claim.
// Errors are [*apiError]s: the key is bound to another request, or in flight.
func (b *book) begin(key, fingerprint string) (effect *Entry, requests int, err error) {
	b.mu.Lock()
	c := b.claims[key]
	if c == nil {
		c = &claim{fingerprint: fingerprint}
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
	e.At = time.Now().UTC().Truncate(time.Microsecond)
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
	case TypeCharge, TypeDecline:
		b.charges[e.ID] = &charge{entry: e}
	case TypeRefund:
		c := b.charges[e.Charge]
		if c == nil || e.AmountMinor > c.remaining() {
			return fmt.Errorf("refund %s has no charge to cover it", e.ID)
		}
		c.refunded += e.AmountMinor
	default:
		return fmt.Errorf("entry %s has the unknown type %q", e.ID, e.Type)
	}
	c := b.claims[e.IdempotencyKey]
	if c == nil {
		c = &claim{fingerprint: e.Fingerprint}
		b.claims[e.IdempotencyKey] = c
	}
	c.effect = &e
	b.entries = append(b.entries, e)
	return nil
}

// remaining is what can still be refunded, in minor units.
func (c *charge) remaining() int64 {
	if c.entry.Type != TypeCharge {
		return 0
	}
	return c.entry.AmountMinor - c.refunded
}

// await returns once the entry seq is durable.
func (b *book) await(seq int64) error {
	if err := b.journal.wait(seq); err != nil {
		return fmt.Errorf("awaiting entry %d: %w", seq, err)
	}
	return nil
}

// effectOf returns the durable effect of an idempotency key, nil if it has none.
func (b *book) effectOf(key string) (*Entry, error) {
	b.mu.Lock()
	var effect *Entry
	if c := b.claims[key]; c != nil {
		effect = c.effect
	}
	b.mu.Unlock()
	if effect == nil {
		return nil, nil
	}
	return effect, b.await(effect.Seq)
}

// chargeByID returns a charge and how much of it is refunded, once both are
// durable.
func (b *book) chargeByID(id string) (entry Entry, refunded int64, found bool, err error) {
	b.mu.Lock()
	c := b.charges[id]
	if c == nil {
		b.mu.Unlock()
		return Entry{}, 0, false, nil
	}
	entry, refunded = c.entry, c.refunded
	latest := int64(len(b.entries))
	b.mu.Unlock()
	return entry, refunded, true, b.await(latest)
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
