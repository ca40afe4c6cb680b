package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	superuser       = "postgres"
	predecessorWait = 10 * time.Second
	pollInterval    = 10 * time.Millisecond
)

// layout is where things are in a server's directory.
type layout struct{ dir string }

func (l layout) data() string     { return filepath.Join(l.dir, "data") }
func (l layout) newData() string  { return filepath.Join(l.dir, "data.new") }
func (l layout) password() string { return filepath.Join(l.dir, "superuser.password") }
func (l layout) log() string      { return filepath.Join(l.dir, "postgres.log") }
func (l layout) pidFile() string  { return filepath.Join(l.data(), "postmaster.pid") }

// openDir makes the directory if need be and locks it. An empty directory is given to the account; one that holds
// other things is left as it is. Closing the file, or dying, unlocks.
func openDir(dir string) (_ layout, _ *account, lock *os.File, err error) {
	fail := func(err error) (layout, *account, *os.File, error) { return layout{}, nil, nil, err }
	if dir, err = filepath.Abs(dir); err != nil {
		return fail(err)
	}
	if err = os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fail(err)
	}
	if err = os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fail(err)
	}
	l := layout{dir: dir}
	as, err := accountFor(l.data())
	if err != nil {
		return fail(err)
	}
	if lock, err = lockDir(dir); err != nil {
		return fail(err)
	}
	if err = errors.Join(giveIfEmpty(dir, as), as.checkReach(dir)); err != nil {
		unlock(lock)
		return fail(err)
	}
	return l, as, lock, nil
}

func lockDir(dir string) (*os.File, error) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return lock, nil
}

// unlock does not leave it to Close: a child that another goroutine is forking right now holds the same open file.
func unlock(lock *os.File) {
	_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
	lock.Close()
}

func giveIfEmpty(dir string, as *account) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	return as.own(dir)
}

// openCluster returns the binaries and the superuser's password of the cluster, which it makes when there is none.
func openCluster(ctx context.Context, l layout, as *account, sync bool) (Binaries, string, error) {
	version, err := os.ReadFile(filepath.Join(l.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		binaries, err := Find()
		if err != nil {
			return Binaries{}, "", err
		}
		password, err := initCluster(ctx, l, as, binaries, sync)
		return binaries, password, err
	}
	if err != nil {
		return Binaries{}, "", fmt.Errorf("reading the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(version)))
	if err != nil {
		return Binaries{}, "", fmt.Errorf("reading the cluster's version: %w", err)
	}
	binaries, err := findVersion(major)
	if err != nil {
		return Binaries{}, "", err
	}
	password, err := os.ReadFile(l.password())
	if err != nil {
		return Binaries{}, "", fmt.Errorf("reading the superuser's password: %w", err)
	}
	return binaries, strings.TrimSpace(string(password)), nil
}

// initCluster makes the cluster beside its final place and moves it there when it is whole, so that a process killed
// half-way leaves nothing that looks like a cluster.
func initCluster(ctx context.Context, l layout, as *account, binaries Binaries, sync bool) (string, error) {
	password := rand.Text()
	err := errors.Join(
		os.RemoveAll(l.newData()),
		os.Mkdir(l.newData(), 0o700),
		as.own(l.newData()),
		os.RemoveAll(l.password()), // it may be another user's
		os.WriteFile(l.password(), []byte(password+"\n"), 0o600),
		as.own(l.password()),
	)
	if err != nil {
		return "", fmt.Errorf("preparing the data directory: %w", err)
	}
	args := []string{
		"-D", l.newData(), "--data-checksums", "--encoding=UTF8", "--locale=C",
		"--username=" + superuser, "--auth=scram-sha-256", "--pwfile=" + l.password(),
	}
	if !sync {
		args = append(args, "--no-sync")
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(binaries.Dir, "initdb"), args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	p, err := startProcess(cmd, as, l.newData())
	if err != nil {
		return "", fmt.Errorf("starting initdb: %w", err)
	}
	<-p.done
	if p.err != nil {
		return "", fmt.Errorf("running initdb: %w: %s", p.err, bytes.TrimSpace(output.Bytes()))
	}
	if err := os.Rename(l.newData(), l.data()); err != nil {
		return "", fmt.Errorf("putting the new cluster in place: %w", err)
	}
	return password, nil
}

// endPredecessor waits for a server that a killed process left behind in this directory. The directory's lock is
// ours, so nobody wants that server any more: it is told to stop as well. left says that a pid file was there.
func endPredecessor(ctx context.Context, l layout) (left bool, err error) {
	content, err := os.ReadFile(l.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading postmaster.pid: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return true, nil // Postgres judges a malformed file itself
	}
	ctx, cancel := context.WithTimeout(ctx, predecessorWait)
	defer cancel()
	if servesDir(pid, l.data()) {
		_ = syscall.Kill(pid, syscall.SIGINT) // it may have exited just now
	}
	for servesDir(pid, l.data()) {
		select {
		case <-ctx.Done():
			return true, fmt.Errorf("waiting for the previous server, process %d, to stop: %w", pid, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
	// The number may belong to another process by now, as it easily does in a container. Postgres cannot tell that
	// and would refuse to start; when nobody has the number, it clears the file itself after checks of its own.
	if syscall.Kill(pid, 0) == nil {
		if err := os.Remove(l.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, fmt.Errorf("removing a stale postmaster.pid: %w", err)
		}
	}
	return true, nil
}
