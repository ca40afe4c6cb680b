package pspsim

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/waittest"
)

// A provider that has much to tell does not wait for each answer.
func TestWebhook_AreManyAtOnceWhereManyWait(t *testing.T) {
	t.Parallel()
	const all = 3 * hooksAtOnce
	var mu sync.Mutex
	var here, most, came int
	together := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		came++
		here++
		if most = max(most, here); came == hooksAtOnce {
			close(together)
		}
		mu.Unlock()
		select {
		case <-together:
		case <-r.Context().Done():
		}
		mu.Lock()
		here--
		mu.Unlock()
	}))
	t.Cleanup(receiver.Close)
	b := setup(t, Options{Webhooks: Webhooks{URL: receiver.URL, Secret: "whsec", Duplicates: all - 1}})
	b.mustCharge("k", "pm_ok")
	waittest.Until(t, "all have come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return came == all && here == 0
	})
	if most != hooksAtOnce {
		t.Errorf("%d were sent at once, want %d", most, hooksAtOnce)
	}
}

// What waits for its time keeps nothing else waiting, and is not sent early but on request.
func TestWebhook_WaitsForItsDelayUnlessItIsHurried(t *testing.T) {
	t.Parallel()
	b, r := receiving(t, Webhooks{DelayMillis: int(time.Hour.Milliseconds())})
	b.mustCharge("k1", "pm_ok")
	b.mustCharge("k2", "pm_ok")
	late := b.hooks.how
	b.SetWebhooks(Webhooks{URL: late.URL, Secret: late.Secret})
	b.mustCharge("k3", "pm_ok")
	r.want(t, "charge.succeeded k3")
	b.SetWebhooks(late)
	b.HurryWebhooks(t.Context())
	got := map[string]bool{}
	for _, e := range r.got() {
		got[e] = true
	}
	if diff := cmp.Diff(map[string]bool{"charge.succeeded k1": true, "charge.succeeded k2": true, "charge.succeeded k3": true}, got); diff != "" {
		t.Errorf("webhooks when it returns (-want +got):\n%s", diff)
	}
	b.mustCharge("k4", "pm_ok")
	waittest.Until(t, "what happens after that is told", func() bool { return len(r.got()) == 4 })
}

// Many that wait for their time are no reason to send those that are due side by side.
func TestWebhook_AreCountedWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	h := newHooks(Options{Webhooks: Webhooks{URL: "-", DelayMillis: int(time.Hour.Milliseconds())}}, slog.New(slog.DiscardHandler))
	tell := func(n int) {
		for range n {
			h.tell(Entry{Type: TypeRefund})
		}
	}
	tell(100)
	h.how.DelayMillis = 0
	tell(3)
	for want := 2; want >= 0; want-- {
		if d, left, _ := h.next(); d == nil || left != want {
			t.Errorf("got %v and %d more that are due, want %d", d, left, want)
		}
	}
	if d, _, wait := h.next(); d != nil || wait < 59*time.Minute {
		t.Errorf("got %v and a wait of %v, want none for an hour", d, wait)
	}
}
