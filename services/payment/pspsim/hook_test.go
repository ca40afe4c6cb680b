package pspsim

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

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
