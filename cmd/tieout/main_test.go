package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// runAsTieout makes the test binary behave as the product.
const runAsTieout = "RUN_AS_TIEOUT"

func TestMain(m *testing.M) {
	if os.Getenv(runAsTieout) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is a process of the product, with an environment of its own; it is killed when the test ends.
func command(ctx context.Context, t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append([]string{runAsTieout + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	return cmd
}

// daemon is a running `tieout dev`.
type daemon struct {
	*exec.Cmd
	dir            string
	ready          dev.Ready
	stdout, stderr logtest.Book
	done           chan struct{} // closed when it has exited
}

// dataDir is a directory that Postgres can reach when the tests run as root; the name has a space.
func dataDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Postgres")
	}
	base, err := os.MkdirTemp("", "tieout-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(base, "data dir")
}

// startDev starts the system in dir and waits until it is ready.
func startDev(t *testing.T, dir string, further ...string) *daemon {
	t.Helper()
	d := &daemon{dir: dir, done: make(chan struct{})}
	d.Cmd = command(context.WithoutCancel(t.Context()), t, nil,
		append([]string{"dev", "--data-dir", dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"}, further...)...)
	d.Stdout, d.Stderr = &d.stdout, &d.stderr
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.Wait(); close(d.done) }()
	t.Cleanup(func() { _ = d.Process.Kill(); <-d.done })
	waittest.Until(t, "ready.json appears", func() bool {
		select {
		case <-d.done:
			t.Fatalf("ended before it was ready: %s", d.stderr.String())
		default:
		}
		var err error
		d.ready, err = dev.ReadReady(dir)
		return err == nil
	})
	return d
}

// stop ends the system with a signal and gives its exit code.
func (d *daemon) stop(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	if err := d.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		t.Fatal("did not end within 30 s")
	}
	return d.ProcessState.ExitCode()
}

// tieout runs a command against the system.
func (d *daemon) tieout(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, t, []string{envAddr + "=" + d.ready.GRPC}, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited {
			t.Fatal(err)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the JSON that was expected: %v\n%s", err, text)
	}
	return v
}

// postgresRuns tells whether the Postgres of a data directory runs.
func postgresRuns(t *testing.T, pid int) bool {
	t.Helper()
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// postgresPID is the process of a data directory's Postgres.
func postgresPID(t *testing.T, dir string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return decode[int](t, first)
}

// exists tells whether there is a file.
func exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
