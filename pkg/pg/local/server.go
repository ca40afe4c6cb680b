package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startLimit   = time.Minute
	connectLimit = 2 * time.Second
	// quitLimit is how long an immediate shutdown may take; the postmaster kills its children after 5 s.
	quitLimit    = 7 * time.Second
	retryDelay   = 100 * time.Millisecond
	racePatience = time.Second
	logTailSize  = 2000
)

// Options say where a server lives and how careful it is.
type Options struct {
	// Dir is the server's directory; made when it does not exist. Required.
	Dir string
	// Port on 127.0.0.1. 0 takes a free one, not necessarily the same after a restart.
	Port int
	// Sync makes commits survive a crash of the machine. Without it only a crash of the server is survived, and
	// everything is faster.
	Sync bool
	// Log gets the server's log. Nil means the file postgres.log in Dir.
	Log io.Writer
}

// Server is a running Postgres.
type Server struct {
	layout   layout
	account  *account
	lock     *os.File
	binaries Binaries
	password string
	port     int
	process  *process
}

// Start makes the cluster if there is none, starts the server and waits until it answers, at most a minute. Errors:
// ErrNotInstalled; a directory that is in use, of another user or out of reach; a port that is taken; else the end of
// the server's log.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("starting postgres: no directory given")
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	l, as, lock, err := openDir(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening postgres directory: %w", err)
	}
	s := &Server{layout: l, account: as, lock: lock}
	if err := s.start(ctx, opts); err != nil {
		unlock(lock)
		return nil, fmt.Errorf("starting postgres: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, opts Options) (err error) {
	if s.binaries, s.password, err = openCluster(ctx, s.layout, s.account, opts.Sync); err != nil {
		return err
	}
	left, err := endPredecessor(ctx, s.layout)
	if err != nil {
		return err
	}
	// A free port may be taken between choosing and using it; and children of a killed server hold its shared memory
	// until they notice.
	patience := racePatience
	if left {
		patience = predecessorWait
	}
	for deadline := time.Now().Add(patience); ; {
		err := s.launch(ctx, opts)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
}

// launch is one attempt to start the server.
func (s *Server) launch(ctx context.Context, opts Options) (err error) {
	if s.port, err = choosePort(opts.Port); err != nil {
		return err
	}
	log, tail := opts.Log, func() string { return "" }
	if log == nil {
		file, size, err := s.openLog()
		if err != nil {
			return fmt.Errorf("opening the server's log: %w", err)
		}
		defer file.Close() // the server has its own, and can log after this process is gone
		log, tail = file, func() string { return s.logTail(size) }
	}
	cmd := exec.Command(filepath.Join(s.binaries.Dir, "postgres"), s.arguments(opts.Sync)...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = startProcess(cmd, s.account, s.layout.data()); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		s.process.signal(syscall.SIGQUIT)
		<-s.process.done
		return fmt.Errorf("%w%s", err, tail())
	}
	return nil
}

func (s *Server) arguments(sync bool) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=",
		"shared_buffers=64MB", "max_connections=200", "timezone=UTC", "log_timezone=UTC", "jit=off",
	}
	if !sync {
		settings = append(settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off")
	}
	args := []string{"-D", s.layout.data()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// openLog opens the log for appending, and tells its size so far.
func (s *Server) openLog() (*os.File, int64, error) {
	file, err := os.OpenFile(s.layout.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err = errors.Join(err, s.account.own(s.layout.log())); err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// logTail quotes the end of what was logged after that offset.
func (s *Server) logTail(from int64) string {
	content, err := os.ReadFile(s.layout.log())
	if err != nil || int64(len(content)) <= from {
		return "; see " + s.layout.log()
	}
	added := content[from:]
	return "; its log: " + strings.TrimSpace(string(added[max(0, len(added)-logTailSize):]))
}

// awaitReady returns once the server lets the superuser in. The password is random, so another server that got the
// port first is not mistaken for ours.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("server ended while starting: %v", s.process.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to answer: %w: %w", ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

// Port returns the TCP port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// DSN returns the URL of a database, which need not exist, for the superuser.
func (s *Server) DSN(database string) string { return s.dsn(superuser, s.password, database) }

func (s *Server) dsn(role, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	return pgx.Connect(ctx, s.DSN("postgres"))
}

// Stop ends every session and shuts the server down; when ctx ends first, it does so without a checkpoint and returns
// an error, and the next start takes longer. It returns when the server is gone. Stopping twice is fine.
func (s *Server) Stop(ctx context.Context) error {
	defer unlock(s.lock)
	s.process.signal(syscall.SIGINT)
	select {
	case <-s.process.done:
		if s.process.err != nil {
			return fmt.Errorf("stopping postgres: %w", s.process.err)
		}
		return nil
	case <-ctx.Done():
	}
	s.process.signal(syscall.SIGQUIT)
	select {
	case <-s.process.done:
	case <-time.After(quitLimit):
		s.process.signal(syscall.SIGKILL)
		<-s.process.done
	}
	return fmt.Errorf("stopping postgres: %w", context.Cause(ctx))
}

// choosePort checks that the port is free, or finds a free one for 0.
func choosePort(want int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(want)))
	if err != nil {
		return 0, fmt.Errorf("port %d is not free: %w", want, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
