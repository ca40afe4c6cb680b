package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// origins are those whose pages may send requests, besides the gateway's own.
type origins []string

// parseOrigins reads a list of origins, separated by commas.
func parseOrigins(list string) (origins, error) {
	var all origins
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
			continue
		}
		u, err := url.Parse(name)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || name != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("web.allow_origins: %q is no origin, as https://shop.example is one", name)
		}
		all = append(all, name)
	}
	return all, nil
}

// check refuses a request of another origin's page. What is no browser names no origin: it has nobody's cookies or
// network to misuse.
func (o origins) check(r *http.Request) (cors bool, err error) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false, nil
	}
	if slices.Contains(o, strings.ToLower(origin)) {
		return true, nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return false, nil
	}
	return false, rpcerr.New(rpcerr.OriginRefused, "pages of %.200q may not ask here", origin)
}

// allowPage tells a browser that a page of an allowed origin may read the answer.
func allowPage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "Idempotency-Replayed, Retry-After")
	if isPreflight(r) {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type, Grpc-Timeout, Idempotency-Key, Last-Event-ID, Tieout-Caller, Traceparent")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// isPreflight tells whether a browser asks what a page may send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}
