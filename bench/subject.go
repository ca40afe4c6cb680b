package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	pglocal "github.com/tieout/tieout/pkg/pg/local"
)

// stopLimit is how long a subject, or a Postgres, may take to stop.
const stopLimit = 30 * time.Second

// subject is what a case puts its load on.
type subject struct {
	meter *meter
	do    unit
	// settle waits until everything has come to rest.
	settle func(ctx context.Context) error
	// profile takes profiles while something lasts, as files in a directory that begin with a name; nil when it cannot.
	profile func(ctx context.Context, dir, name string, lasts time.Duration) error
	stops   []func() error // last to first
}

func (s *subject) onStop(f func() error) { s.stops = append(s.stops, f) }

func (s *subject) stop() error {
	var errs []error
	for i := range s.stops {
		errs = append(errs, s.stops[len(s.stops)-1-i]())
	}
	s.stops = nil
	return errors.Join(errs...)
}

// process is a process that does not outlive this one.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone
}

func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel's "parent" is the thread that forked: it stays
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait() // how it ended is in its state
			close(p.done)
		}
	}()
	return p, <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to stop in order, and ends it when it does not.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop and was killed", filepath.Base(p.cmd.Path))
	}
}

// await asks again and again until ask is content. A process that ends meanwhile is an error; it may be nil.
func await(ctx context.Context, what string, p *process, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var gone chan struct{}
	if p != nil {
		gone = p.done
	}
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-gone:
			return fmt.Errorf("%s: the process ended: %s", what, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openDir makes a directory that Postgres' account can reach, and that is removed with the subject.
func (s *subject) openDir() (string, error) {
	dir, err := os.MkdirTemp("", "tieout-bench-")
	if err != nil {
		return "", err
	}
	s.onStop(func() error { return os.RemoveAll(dir) })
	return dir, os.Chmod(dir, 0o755)
}

// startPostgres starts a Postgres for a subject, as `tieout dev` does.
func (s *subject) startPostgres(ctx context.Context) (*pglocal.Server, error) {
	dir, err := s.openDir()
	if err != nil {
		return nil, err
	}
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(dir, "postgres"), Sync: true})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		return server.Stop(ctx)
	})
	return server, nil
}

// measure measures the subject from now on: its process, 0 where it is in this one, and its Postgres, at a URL.
func (s *subject) measure(ctx context.Context, system int, dsn string) (err error) {
	if s.meter, err = newMeter(ctx, system, dsn); err == nil {
		s.onStop(func() error { return s.meter.conn.Close(context.Background()) })
	}
	return err
}

// freePort is a port that nobody had a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// tailOf is the end of a file, for what went wrong.
func tailOf(file string) string {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return strings.ToValidUTF8(string(raw[max(0, len(raw)-2000):]), "")
}
