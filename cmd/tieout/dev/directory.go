package dev

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Ready is the content of ready.json: where things are. It holds passwords, that of Postgres' superuser among them.
type Ready struct {
	// GRPC is host:port.
	GRPC string `json:"grpc"`
	// HTTP, NATS, Postgres, Metrics and PSP are URLs; Postgres' is the superuser's, Metrics that of the scrape, and
	// PSP the payment provider simulator.
	HTTP     string `json:"http"`
	NATS     string `json:"nats"`
	Postgres string `json:"postgres"`
	Metrics  string `json:"metrics"`
	PSP      string `json:"psp"`
	// Redis and RedisReplica are URLs, with the password; absent without --redis.
	Redis        string `json:"redis,omitempty"`
	RedisReplica string `json:"redis_replica,omitempty"`
}

// ErrBusy says that another process has the data directory or an address that was asked for.
var ErrBusy = errors.New("in use")

// readyFile is where a directory says that all is serving.
const readyFile = "ready.json"

// ReadReady reads the ready.json of a data directory. It is fs.ErrNotExist when nothing serves from it.
func ReadReady(dir string) (Ready, error) {
	var r Ready
	raw, err := os.ReadFile(filepath.Join(dir, readyFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("reading %s: %w", filepath.Join(dir, readyFile), err)
	}
	return r, nil
}

// directory is a locked data directory.
type directory struct {
	path      string // holds ready.json and the log
	data      string // holds the data: path itself, or a temporary directory
	lock      *os.File
	ephemeral bool // data is removed at the end
}

// openDirectory makes the directory if need be, and locks it. The data of an ephemeral one is in a directory made anew
// in the temporary directory; with an empty path all of it is there.
func openDirectory(path string, ephemeral bool) (*directory, error) {
	temporary := ""
	if ephemeral {
		var err error
		if temporary, err = os.MkdirTemp("", "tieout-dev-"); err != nil {
			return nil, err
		}
	}
	d, err := lockDirectory(cmp.Or(path, temporary))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	d.data, d.ephemeral = cmp.Or(temporary, d.path), ephemeral
	return d, errors.Join(d.letOthersPass(), d.removeReady()) // a killed process' one
}

func lockDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = os.MkdirAll(path, 0o755)
	}
	if err != nil {
		return nil, err
	}
	d := &directory{path: path}
	if d.lock, err = os.Open(path); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is %w by another `tieout dev`: stop it, or choose another one with --data-dir", path, ErrBusy)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return d, nil
}

// file is a file of the directory itself, dataFile one of the data.
func (d *directory) file(name string) string     { return filepath.Join(d.path, name) }
func (d *directory) dataFile(name string) string { return filepath.Join(d.data, name) }

// openLog begins a new log and keeps the one of the run before.
func (d *directory) openLog() (*os.File, error) {
	name := d.file("tieout.log")
	if err := os.Rename(name, name+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// writeReady makes ready.json appear, whole.
func (d *directory) writeReady(r Ready) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	partial := d.file(readyFile + ".new")
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.WriteFile(partial, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, d.file(readyFile))
}

func (d *directory) removeReady() error {
	if err := os.Remove(d.file(readyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// close unlocks the directory, and removes ephemeral data. Unlocking is not left to the file's end, for a child that
// is being started holds the same open file.
func (d *directory) close() error {
	var err error
	if d.ephemeral {
		err = errors.Join(d.removePostgres(), os.RemoveAll(d.data))
	}
	return errors.Join(err, syscall.Flock(int(d.lock.Fd()), syscall.LOCK_UN), d.lock.Close())
}
