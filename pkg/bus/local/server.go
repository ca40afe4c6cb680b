package local

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout is how long the server may take to recover its streams and answer.
const startTimeout = 30 * time.Second

// Options say where the server keeps its streams and how it is reached.
type Options struct {
	// Dir holds the streams; it must not be shared with another server.
	Dir string
	// Port on 127.0.0.1: 0 takes a free one, -1 does not listen: the server is reached by Connect only.
	Port int
	// Log receives the server's warnings and errors; nil discards them.
	Log *slog.Logger
}

// Server is a running NATS server. Every write is synced to disk before it is acknowledged.
type Server struct {
	nats   *server.Server
	listen bool
}

// Start starts a server and waits until JetStream answers. It installs no signal handlers. The error says what the
// server said: a port in use, a directory that cannot be written.
func Start(opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("starting nats server: no directory given")
	}
	conf := &server.Options{
		ServerName: "tieout-local",
		Host:       "127.0.0.1",
		Port:       opts.Port,
		DontListen: opts.Port == -1,
		JetStream:  true,
		StoreDir:   opts.Dir,
		SyncAlways: true,
		NoSigs:     true,
	}
	if opts.Port == 0 {
		conf.Port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(conf)
	if err != nil {
		return nil, fmt.Errorf("starting nats server: %w", err)
	}
	log := &logger{to: opts.Log, fatal: make(chan string, 1)}
	if log.to == nil {
		log.to = slog.New(slog.DiscardHandler)
	}
	ns.SetLogger(log, false, false)
	ns.Start()
	s := &Server{nats: ns, listen: !conf.DontListen}
	if err := s.waitReady(log.fatal); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("starting nats server: %w", err)
	}
	return s, nil
}

// waitReady waits for the server to answer. Start of the server reports nothing: what went wrong is only logged.
func (s *Server) waitReady(fatal <-chan string) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		if s.nats.ReadyForConnections(100 * time.Millisecond) {
			return nil
		}
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
	}
	return fmt.Errorf("not ready after %v", startTimeout)
}

// URL is where clients connect; empty when the server does not listen.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.nats.ClientURL()
}

// Connect connects a client over TCP, so that it can reconnect to a successor on the same port, or within the
// process when the server does not listen.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	if !s.listen {
		opts = append(opts, nats.InProcessServer(s.nats))
	}
	nc, err := nats.Connect(s.URL(), opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the local nats server: %w", err)
	}
	return nc, nil
}

// Shutdown stops the server and waits until its streams are closed.
func (s *Server) Shutdown() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// logger hands what the server says at warning level and above to slog, and keeps the first fatal text.
type logger struct {
	to    *slog.Logger
	fatal chan string
}

func (l *logger) Warnf(format string, v ...any) {
	l.to.Warn("nats server warning", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *logger) Errorf(format string, v ...any) {
	l.to.Error("nats server error", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *logger) Fatalf(format string, v ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	l.to.Error("nats server fatal error", slog.String("text", text))
	select {
	case l.fatal <- text:
	default:
	}
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}
