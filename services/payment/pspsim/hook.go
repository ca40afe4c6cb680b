package pspsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/periodic"
)

const (
	hookAttempts = 8                      // then a webhook is given up
	hookBackoff  = 100 * time.Millisecond // doubled at each attempt
	hookTimeout  = 5 * time.Second
	// hooksInTurn is below how many they are sent one after the other; where more are due, hooksAtOnce are at once, as
	// providers do that have much to tell.
	hooksInTurn = 8
	hooksAtOnce = 64
	// reorderFor is how long an event waits for the next one to overtake it.
	reorderFor = time.Second
)

// Webhooks says where events are sent, and how badly.
type Webhooks struct {
	// URL that every event is posted to; empty: none is sent.
	URL string `json:"url"`
	// Secret signs them: Psp-Signature is "t=SECONDS,v1=HEX", HEX the HMAC-SHA256 over "SECONDS.BODY".
	Secret string `json:"secret"`
	// Duplicates is how many times more each is sent.
	Duplicates int `json:"duplicates,omitempty"`
	// DelayMillis is how late they are sent.
	DelayMillis int `json:"delay_ms,omitempty"`
	// Reorder has every second event overtake the one before it.
	Reorder bool `json:"reorder,omitempty"`
}

// hookEvent is a webhook's body.
type hookEvent struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Created time.Time `json:"created"`
	Op      EntryType `json:"op"`
	Data    any       `json:"data"`
}

// delivery is an event that is to be sent.
type delivery struct {
	body     []byte
	due      time.Time
	attempts int
}

// hooks sends events, one after the other as long as few are due, and again those that are not answered with 2xx. What
// waits is lost when the simulator ends.
type hooks struct {
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	wake   periodic.Bell

	mu    sync.Mutex
	how   Webhooks
	queue []*delivery // by when they are due
	held  *delivery   // waits in queue to be overtaken
}

func newHooks(opts Options, log *slog.Logger) *hooks {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = hooksAtOnce
	return &hooks{client: &http.Client{Timeout: hookTimeout, Transport: transport}, now: opts.Now, log: log, wake: periodic.NewBell(), how: opts.Webhooks}
}

// SetWebhooks changes where events are sent from now on, and how.
func (s *Server) SetWebhooks(w Webhooks) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.how = w
}

// HurryWebhooks ends the delay of events, for the receiver is about to end: from now on they are sent at once, and so is what
// waits; each of that was sent once when it returns, unless ctx has ended. What was not answered with 2xx is sent again later.
func (s *Server) HurryWebhooks(ctx context.Context) {
	h := s.hooks
	h.mu.Lock()
	h.how.DelayMillis = 0
	waiting := h.queue
	h.queue, h.held = nil, nil
	h.mu.Unlock()
	free := make(chan struct{}, hooksAtOnce)
	var sending sync.WaitGroup
	for _, d := range waiting {
		free <- struct{}{}
		sending.Go(func() {
			defer func() { <-free }()
			h.deliver(ctx, d)
		})
	}
	sending.Wait()
}

// eventOf is what is told of an entry.
func eventOf(e Entry) hookEvent {
	event := hookEvent{ID: fmt.Sprintf("evt_%06d_%s", e.Seq, e.ID), Type: string(e.Type) + ".succeeded", Created: e.At, Op: e.Type, Data: followOf(e)}
	switch e.Type {
	case TypeDecline:
		event.Op = TypeCharge
		if e.AuthorizeOnly {
			event.Op = TypeAuthorize
		}
		event.Type = string(event.Op) + ".declined"
		event.Data = charge{entry: e}.object()
	case TypeCharge, TypeAuthorize:
		event.Data = firstAnswer(e).body
	case TypeChargeback:
		event.Type, event.Data = "charge.chargeback", chargebackOf(e)
	case TypeChargebackReversal:
		event.Type, event.Data = "charge.chargeback_reversed", chargebackOf(e)
	}
	return event
}

// tell queues what happened.
func (h *hooks) tell(e Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.how.URL == "" {
		return
	}
	body, err := json.Marshal(eventOf(e))
	if err != nil {
		panic(err) // events are strings, integers and times
	}
	due := time.Now().Add(time.Duration(h.how.DelayMillis) * time.Millisecond)
	d := &delivery{body: body, due: due}
	switch {
	case !h.how.Reorder:
	case h.held == nil:
		d.due, h.held = due.Add(reorderFor), d
	default:
		overtaken := h.held
		h.queue = slices.DeleteFunc(h.queue, func(d *delivery) bool { return d == overtaken })
		overtaken.due, h.held = due.Add(time.Microsecond), nil
		h.put(overtaken)
	}
	h.put(d)
	for range h.how.Duplicates {
		again := *d
		h.put(&again)
	}
}

// put queues a delivery behind those that are due before it, and wakes who waits for the first one if that is it: with a delay
// most are last. It needs mu.
func (h *hooks) put(d *delivery) {
	at := h.due(d.due)
	h.queue = slices.Insert(h.queue, at, d)
	if at == 0 {
		h.wake.Ring()
	}
}

// due gives how many in the queue are due at a time. It needs mu.
func (h *hooks) due(at time.Time) int {
	n, _ := slices.BinarySearchFunc(h.queue, at, func(d *delivery, at time.Time) int {
		if d.due.After(at) {
			return 1
		}
		return -1
	})
	return n
}

// run sends what is due until ctx ends.
func (h *hooks) run(ctx context.Context) {
	var sending sync.WaitGroup
	defer h.client.CloseIdleConnections()
	defer sending.Wait()
	free := make(chan struct{}, hooksAtOnce)
	for ctx.Err() == nil {
		d, left, wait := h.next()
		if d != nil && left < hooksInTurn {
			sending.Wait()
			h.deliver(ctx, d)
			continue
		}
		if d != nil {
			free <- struct{}{}
			sending.Go(func() {
				defer func() { <-free }()
				h.deliver(ctx, d)
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-h.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes the delivery that is due first and tells how many more are due, or says how long none is.
func (h *hooks) next() (first *delivery, left int, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return nil, 0, time.Hour
	}
	now := time.Now()
	first = h.queue[0]
	if wait = first.due.Sub(now); wait > 0 {
		return nil, 0, wait
	}
	h.queue[0] = nil // what is sent is not kept as long as its place in the array
	h.queue = h.queue[1:]
	if h.held == first {
		h.held = nil
	}
	return first, h.due(now), 0
}

// deliver sends once, and queues again what did not arrive.
func (h *hooks) deliver(ctx context.Context, d *delivery) {
	h.mu.Lock()
	how := h.how
	h.mu.Unlock()
	status, err := h.post(ctx, how.URL, how.Secret, d.body)
	if err == nil && status/100 == 2 {
		return
	}
	d.attempts++
	if d.attempts == hookAttempts {
		h.log.WarnContext(ctx, "a webhook was given up", slog.Int("status", status), slog.Any("error", err))
		return
	}
	d.due = time.Now().Add(hookBackoff << d.attempts)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(d)
}

func (h *hooks) post(ctx context.Context, url, secret string, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Psp-Signature", signature(secret, h.now(), body))
	resp, err := h.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, err
}

// signature signs a webhook.
func signature(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Forge sends an event of a charge that never happened, signed with a secret that nobody knows, and returns the
// status it was answered with.
func (s *Server) Forge(ctx context.Context) (status int, err error) {
	s.hooks.mu.Lock()
	url := s.hooks.how.URL
	s.hooks.mu.Unlock()
	if url == "" {
		return 0, invalid(codeInvalidParam, "url", "there is no URL to send webhooks to")
	}
	e := Entry{Seq: 999_999, At: s.book.now().UTC(), Type: TypeCharge, ID: newID("ch_"), IdempotencyKey: newID("forged_"),
		AmountMinor: 100, Currency: "GBP", Reference: "forged", PaymentMethod: "pm_ok"}
	body, err := json.Marshal(eventOf(e))
	if err != nil {
		return 0, fmt.Errorf("encoding forged webhook: %w", err)
	}
	return s.hooks.post(ctx, url, rand.Text(), body)
}
