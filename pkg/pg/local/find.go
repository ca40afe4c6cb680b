package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const minVersion = 15

// ErrNotInstalled says that this machine has no usable server binaries, and what to install.
var ErrNotInstalled = errors.New("PostgreSQL 15 or later is not installed: " +
	"run `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora, RHEL) " +
	"or `brew install postgresql@17` (macOS)")

// Binaries are the server programs of one installed version.
type Binaries struct {
	// Dir holds initdb and postgres.
	Dir string
	// Version is the major version, such as 15.
	Version int
}

// Find returns the server binaries to use: those on PATH, else those pg_config knows, else the highest version in the
// usual places of packages. None of at least version 15 is ErrNotInstalled.
func Find() (Binaries, error) {
	return find(func(b Binaries) bool { return b.Version >= minVersion })
}

// findVersion returns the binaries that can read a cluster of that major version.
func findVersion(major int) (Binaries, error) {
	found, err := find(func(b Binaries) bool { return b.Version == major })
	if err != nil {
		return Binaries{}, fmt.Errorf("the data directory was made by PostgreSQL %d: %w", major, err)
	}
	return found, nil
}

func find(usable func(Binaries) bool) (Binaries, error) {
	for _, dirs := range [][]string{onPath(), fromConfig(), inUsualPlaces()} {
		var best Binaries
		for _, dir := range dirs {
			if b, ok := inspect(dir); ok && usable(b) && b.Version > best.Version {
				best = b
			}
		}
		if best.Dir != "" {
			return best, nil
		}
	}
	return Binaries{}, ErrNotInstalled
}

func onPath() []string {
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return nil
	}
	return []string{filepath.Dir(initdb)}
}

func fromConfig() []string {
	out, err := exec.Command("pg_config", "--bindir").Output()
	if err != nil {
		return nil
	}
	return []string{strings.TrimSpace(string(out))}
}

func inUsualPlaces() []string {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
		"/usr/pgsql-*/bin",                  // postgresql.org's packages for Fedora and RHEL
		"/usr/libexec/postgresql*",          // Alpine
		"/usr/local/pgsql/bin",              // built from source
		"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, err := filepath.Glob(pattern)
		if err == nil { // the only error is a malformed pattern
			dirs = append(dirs, matches...)
		}
	}
	return dirs
}

var versionOutput = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect looks for a whole server in dir; a client-only installation has no initdb.
func inspect(dir string) (Binaries, bool) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return Binaries{}, false
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, false
	}
	match := versionOutput.FindSubmatch(out)
	if match == nil {
		return Binaries{}, false
	}
	version, err := strconv.Atoi(string(match[1]))
	return Binaries{Dir: dir, Version: version}, err == nil
}
