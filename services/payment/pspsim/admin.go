package pspsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Outage says how the provider is down.
type Outage struct {
	// ForMillis is for how long; at most an hour.
	ForMillis int `json:"for_ms"`
	// Refuse closes the port, so that connections are refused. Otherwise everything but /admin is answered 503.
	Refuse bool `json:"refuse,omitempty"`
}

// Down takes the provider down from now on; one that is down already stays down as it was told last.
func (s *Server) Down(o Outage) error {
	if o.ForMillis <= 0 || o.ForMillis > int(time.Hour/time.Millisecond) {
		return invalid(codeInvalidParam, "for_ms", "must be more than zero and at most an hour")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil = time.Now().Add(time.Duration(o.ForMillis) * time.Millisecond)
	s.refusing = o.Refuse
	if o.Refuse && s.listener != nil {
		_ = s.listener.Close() // serve opens it again
	}
	return nil
}

// Up ends an outage.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil, s.refusing = time.Time{}, false
	s.up.Ring()
}

// ForgetKeys forgets every idempotency key that is not in flight, as though Options.KeyLifetime had passed; a restart
// remembers those that are younger.
func (s *Server) ForgetKeys() { s.book.forget() }

// outage is how much longer the provider is down, and whether it refuses connections.
func (s *Server) outage() (left time.Duration, refusing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left = time.Until(s.downUntil)
	return left, s.refusing && left > 0
}

// serve serves on listener, and once more on its address after each outage that refuses connections.
func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	for {
		err := s.http.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		if _, refusing := s.outage(); !refusing {
			return err
		}
		s.setListener(nil)
		s.awaitUp(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.Addr()); err != nil {
			return fmt.Errorf("listening again after an outage: %w", err)
		}
		s.setListener(listener)
		s.log.InfoContext(ctx, "provider simulator is up again", slog.String("addr", s.Addr()))
	}
}

func (s *Server) setListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
}

// awaitUp returns when the outage is over, or ctx.
func (s *Server) awaitUp(ctx context.Context) {
	for {
		left, refusing := s.outage()
		if !refusing || ctx.Err() != nil {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-s.up:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// adminRoutes are the endpoints that make the provider misbehave, or do something of its own accord.
func (s *Server) adminRoutes(mux *http.ServeMux) {
	done := reply{status: http.StatusOK, body: struct{}{}}
	mux.HandleFunc("GET /admin/faults", s.handle(func(*http.Request, []byte) (reply, error) {
		return reply{status: http.StatusOK, body: list[Fault]{Data: s.faults.list()}}, nil
	}))
	mux.HandleFunc("POST /admin/faults", s.handle(ordered(s.Inject)))
	mux.HandleFunc("DELETE /admin/faults", s.handle(func(*http.Request, []byte) (reply, error) {
		s.ClearFaults()
		return done, nil
	}))
	mux.HandleFunc("DELETE /admin/keys", s.handle(func(*http.Request, []byte) (reply, error) {
		s.ForgetKeys()
		return done, nil
	}))
	mux.HandleFunc("POST /admin/chargebacks", s.handle(disputed(s.Chargeback)))
	mux.HandleFunc("POST /admin/chargebacks/reverse", s.handle(disputed(s.ReverseChargeback)))
	mux.HandleFunc("POST /admin/down", s.handle(ordered(s.Down)))
	mux.HandleFunc("DELETE /admin/down", s.handle(func(*http.Request, []byte) (reply, error) {
		s.Up()
		return done, nil
	}))
	mux.HandleFunc("PUT /admin/webhooks", s.handle(ordered(func(w Webhooks) error {
		if w.Duplicates < 0 || w.Duplicates > 100 || w.DelayMillis < 0 {
			return invalid(codeInvalidParam, "", "duplicates must be 0 to 100, delay_ms not negative")
		}
		s.SetWebhooks(w)
		return nil
	})))
	mux.HandleFunc("POST /admin/webhooks/forge", s.handle(func(r *http.Request, _ []byte) (reply, error) {
		status, err := s.Forge(r.Context())
		if refused, ok := errors.AsType[*apiError](err); ok {
			return reply{}, refused
		}
		if err != nil {
			return reply{}, &apiError{status: http.StatusBadGateway, Type: typeAPI, Code: codeUnavailable, Message: err.Error()}
		}
		return reply{status: http.StatusOK, body: map[string]int{"status": status}}, nil
	}))
}

// ordered is an endpoint that takes an order and answers with it.
func ordered[T any](do func(T) error) func(*http.Request, []byte) (reply, error) {
	return func(_ *http.Request, body []byte) (reply, error) {
		var order T
		if err := decode(body, &order); err != nil {
			return reply{}, err
		}
		if err := do(order); err != nil {
			return reply{}, err
		}
		return reply{status: http.StatusOK, body: order}, nil
	}
}
