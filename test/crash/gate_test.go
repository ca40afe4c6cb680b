package crash

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// gate stands before a provider and fails what is posted to a path: the first request of a key does not get through, the
// answer to the second is lost. The third gets its answer.
type gate struct {
	provider http.Handler
	path     string

	mu       sync.Mutex
	requests map[string]int // by key
}

// newGate gives the URL of a provider behind a gate.
func newGate(t *testing.T, provider, path string) string {
	t.Helper()
	behind, err := url.Parse(provider)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&gate{provider: httputil.NewSingleHostReverseProxy(behind), path: path, requests: map[string]int{}})
	t.Cleanup(s.Close)
	return s.URL
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requests := 0
	if r.Method == http.MethodPost && r.URL.Path == g.path {
		key := r.Header.Get("Idempotency-Key")
		g.mu.Lock()
		g.requests[key]++
		requests = g.requests[key]
		g.mu.Unlock()
	}
	switch requests {
	case 1:
		http.Error(w, "the provider is not well", http.StatusInternalServerError)
	case 2:
		g.provider.ServeHTTP(httptest.NewRecorder(), r)
		http.Error(w, "the provider was not well", http.StatusInternalServerError)
	default:
		g.provider.ServeHTTP(w, r)
	}
}
