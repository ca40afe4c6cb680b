package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startLimit = 30 * time.Second
	pollEvery  = 10 * time.Millisecond
	// attempts is how often a start is tried: a free port may be taken between choosing and using it.
	attempts = 3
)

// ErrNotInstalled says that this machine has no redis-server, and what to install.
var ErrNotInstalled = errors.New("redis-server is not installed: run `apt-get install redis-server` (Debian, Ubuntu), " +
	"`dnf install redis` (Fedora, RHEL) or `brew install redis` (macOS)")

// Find gives the path of redis-server. None on PATH or where packages put it is ErrNotInstalled.
func Find() (string, error) {
	for _, name := range []string{"redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNotInstalled
}

// Options say where a server works.
type Options struct {
	// Dir is the server's directory, which holds its log; made when it does not exist. Required.
	Dir string
	// Primary is the server that this one repeats; nil for a primary.
	Primary *Server
}

// Server is a running redis-server.
type Server struct {
	port     int
	password string
	command  *exec.Cmd
	done     chan struct{} // closed when it has exited
}

// Start starts a server and waits until it answers, and until a replica is in step with its primary. Errors:
// ErrNotInstalled; else what came of the start, and where its log is.
func Start(ctx context.Context, opts Options) (*Server, error) {
	binary, err := Find()
	if err != nil {
		return nil, err
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, fmt.Errorf("naming the directory of Redis: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for Redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for range attempts {
		var s *Server
		if s, err = launch(ctx, binary, opts); err == nil || ctx.Err() != nil {
			return s, err
		}
	}
	return nil, err
}

// launch is one attempt.
func launch(ctx context.Context, binary string, opts Options) (*Server, error) {
	s := &Server{password: rand.Text(), done: make(chan struct{})}
	if opts.Primary != nil {
		s.password = opts.Primary.password
	}
	var err error
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	log := filepath.Join(opts.Dir, "redis.log")
	// What it is told comes by its standard input: arguments can be read by everybody.
	s.command = exec.Command(binary, "-")
	s.command.Stdin = strings.NewReader(s.settings(opts, log))
	s.command.Dir = opts.Dir
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the process that stops it in order
	endWithParent(s.command.SysProcAttr)
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("starting redis-server: %w", err)
	}
	if err := s.awaitReady(ctx, opts.Primary != nil); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting redis-server: %w; its log is %s", err, log)
	}
	return s, nil
}

func (s *Server) settings(opts Options, log string) string {
	settings := []string{
		"bind 127.0.0.1", "port " + strconv.Itoa(s.port), "requirepass " + s.password, "daemonize no",
		`save ""`, "appendonly no", "maxmemory 64mb", "maxmemory-policy allkeys-lru",
		"repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-diskless-load swapdb",
		fmt.Sprintf("dir %q", opts.Dir), fmt.Sprintf("logfile %q", log),
	}
	if opts.Primary != nil {
		settings = append(settings, fmt.Sprintf("replicaof 127.0.0.1 %d", opts.Primary.port), "masterauth "+opts.Primary.password)
	}
	return strings.Join(settings, "\n") + "\n"
}

// run starts the child from a thread that stays until the child has exited: to the kernel, the parent is the thread.
func (s *Server) run() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.command.Start()
		started <- err
		if err == nil {
			_ = s.command.Wait() // it is killed in the end
			close(s.done)
		}
	}()
	return <-started
}

// awaitReady returns once the server lets in who knows the password, which nobody else's server has, and has what its
// primary has.
func (s *Server) awaitReady(ctx context.Context, replica bool) error {
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		return err
	}
	options.MaxRetries, options.DialerRetries = -1, 1
	client := redis.NewClient(options)
	defer client.Close()
	for {
		info, err := client.Info(ctx, "replication").Result()
		if err == nil && (!replica || strings.Contains(info, "master_link_status:up")) {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended while starting: %v", s.command.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(pollEvery):
		}
	}
}

// URL is where clients connect; it holds the password.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", s.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}
	return u.String()
}

// Addr is host:port, without the password.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// PID is the server's process.
func (s *Server) PID() int { return s.command.Process.Pid }

// Stop ends the server, and returns when it is gone. Nothing is lost: it keeps nothing. Stopping twice is fine.
func (s *Server) Stop() {
	_ = s.command.Process.Kill() // one that has exited is what is wanted
	<-s.done
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
