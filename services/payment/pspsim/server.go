package pspsim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tieout/tieout/pkg/periodic"
)

// Options say where a simulator listens and what it remembers. The zero value works.
type Options struct {
	// Addr is the address to listen on; 127.0.0.1:0, a free port of the loopback, if empty.
	Addr string
	// Journal is the path of the journal file. Its directory must exist. If empty, the
	// journal is in memory and ends with the server. Two servers must not share one.
	Journal string
	// SlowDelay is how late pm_slow is answered; 700 ms if zero.
	SlowDelay time.Duration
	// KeyLifetime is how long an idempotency key is remembered; 24 h if zero, for ever if negative.
	KeyLifetime time.Duration
	// Now is the clock of what happens; time.Now if nil.
	Now func() time.Time
	// Webhooks are where events are sent, until they are set anew.
	Webhooks Webhooks
	// Log takes the server's log; nil discards it.
	Log *slog.Logger
}

// A Server is a running simulator. Its methods may be called from many goroutines.
type Server struct {
	book      *book
	faults    faults
	hooks     *hooks
	slowDelay time.Duration
	log       *slog.Logger
	addr      net.Addr
	http      *http.Server

	cancel   context.CancelFunc // begins the stop
	stopped  chan struct{}      // closed when nothing runs any more
	closeErr error              // why the stop was not clean; read after stopped

	up periodic.Bell // an outage was ended before its time

	mu        sync.Mutex
	listener  net.Listener   // nil while connections are refused
	downUntil time.Time      // everything but /admin is refused until then
	refusing  bool           // the outage closes the port
	closing   bool           // no request may start any more
	active    sync.WaitGroup // requests that have started; Add only under mu and before closing
}

// Start opens the journal, restores what it tells, and serves until ctx ends or
// [Server.Close]. It returns once the server accepts connections; errors are a
// journal that cannot be read and an address that cannot be listened on.
func Start(ctx context.Context, opts Options) (*Server, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.KeyLifetime = cmp.Or(opts.KeyLifetime, 24*time.Hour)
	b, torn, err := openBook(opts)
	if err != nil {
		return nil, fmt.Errorf("starting provider simulator: %w", err)
	}
	if torn {
		log.WarnContext(ctx, "provider simulator cut off a torn journal line", slog.String("journal", opts.Journal))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmp.Or(opts.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting provider simulator: %w", err), b.journal.close())
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{
		book:      b,
		hooks:     newHooks(opts, log),
		up:        periodic.NewBell(),
		listener:  listener,
		slowDelay: cmp.Or(opts.SlowDelay, 700*time.Millisecond),
		log:       log,
		addr:      listener.Addr(),
		cancel:    cancel,
		stopped:   make(chan struct{}),
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go s.run(ctx, listener)
	log.InfoContext(ctx, "provider simulator started",
		slog.String("addr", s.Addr()), slog.Int("entries", len(b.entries)))
	return s, nil
}

// run serves until ctx ends, then stops everything in order.
func (s *Server) run(ctx context.Context, listener net.Listener) {
	defer close(s.stopped)
	var duties sync.WaitGroup
	var serveErr error
	duties.Go(func() {
		defer s.cancel() // a listener that fails ends the server
		serveErr = s.serve(ctx, listener)
	})
	duties.Go(func() { s.hooks.run(ctx) })
	<-ctx.Done()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	closeErr := s.http.Close()
	duties.Wait()
	s.active.Wait()
	s.closeErr = errors.Join(serveErr, closeErr, s.book.journal.close())
	if s.closeErr != nil {
		s.log.ErrorContext(ctx, "provider simulator stopped with an error", slog.Any("error", s.closeErr))
	}
}

// Addr returns the host:port the server listens on.
func (s *Server) Addr() string { return s.addr.String() }

// URL returns the base URL of the API, without a trailing slash.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Journal returns every effect that happened so far, in order: the witness, in process.
func (s *Server) Journal() []Entry {
	return append([]Entry(nil), s.book.durable()...)
}

// Close drops all connections, held ones and half-answered ones too, and returns
// once nothing runs any more. It returns ctx's error if that takes longer, and
// may be called again.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	select {
	case <-s.stopped:
		return s.closeErr
	case <-ctx.Done():
		return fmt.Errorf("closing provider simulator: %w", ctx.Err())
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/charges", s.handle(s.createCharge))
	mux.HandleFunc("GET /v1/charges", s.handle(s.find(TypeCharge, s.showCharges)))
	mux.HandleFunc("GET /v1/charges/{id}", s.handle(s.getCharge))
	for op, path := range map[EntryType]string{TypeCapture: "/v1/captures", TypeVoid: "/v1/voids", TypeRefund: "/v1/refunds"} {
		mux.HandleFunc("POST "+path, s.handle(s.createFollow(op)))
		mux.HandleFunc("GET "+path, s.handle(s.find(op, showFollow(op))))
	}
	mux.HandleFunc("GET /v1/journal", s.writeJournal)
	mux.HandleFunc("GET /v1/settlement", s.handle(s.getSettlement))
	mux.HandleFunc("GET /healthz", s.handle(s.health))
	s.adminRoutes(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.active.Done()
		left, refusing := s.outage()
		switch {
		case refusing:
			panic(http.ErrAbortHandler) // it came over a connection from before
		case left > 0 && !strings.HasPrefix(r.URL.Path, "/admin/"):
			down := &apiError{status: http.StatusServiceUnavailable, Type: typeAPI, Code: codeUnavailable, Message: "the provider is down"}
			write(r.Context(), w, down.reply())
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// enter counts a request in, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.active.Add(1)
	return true
}

// handle turns a request into a call of endpoint, and what that returns into an answer.
func (s *Server) handle(endpoint func(*http.Request, []byte) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(w, r)
		var answer reply
		if err == nil {
			answer, err = endpoint(r, body)
		}
		if errors.Is(err, errNoAnswer) {
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			answer = s.refusal(r.Context(), err).reply()
		}
		write(r.Context(), w, answer)
	}
}

// refusal is the answer for err. What is not an answer already comes from the journal.
func (s *Server) refusal(ctx context.Context, err error) *apiError {
	if refused, ok := errors.AsType[*apiError](err); ok {
		return refused
	}
	s.log.ErrorContext(ctx, "provider simulator cannot keep its journal", slog.Any("error", err))
	return &apiError{status: http.StatusInternalServerError, Type: typeAPI, Code: codeJournalFailed,
		Message: "the provider cannot keep its journal; the outcome is not known"}
}

// writeJournal streams the witness.
func (s *Server) writeJournal(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	limitWrite(w)
	lines := json.NewEncoder(w)
	for _, e := range s.book.durable() {
		if err := lines.Encode(e); err != nil {
			return // the client has gone
		}
	}
}

func (s *Server) health(*http.Request, []byte) (reply, error) {
	if _, err := s.book.journal.state(); err != nil {
		return reply{}, &apiError{status: http.StatusServiceUnavailable, Type: typeAPI, Code: codeJournalFailed,
			Message: "the provider cannot keep its journal"}
	}
	return reply{status: http.StatusOK, body: map[string]string{"status": "ok"}}, nil
}
