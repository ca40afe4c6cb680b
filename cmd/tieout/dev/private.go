package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outside holds the databases of root's data directories that Postgres cannot reach.
const outside = "/var/lib/tieout"

// letOthersPass lets other users pass through the directory when this process is root, for Postgres runs as one of
// them then. What is in it stays closed to them.
func (d *directory) letOthersPass() error {
	info, err := os.Stat(d.data)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Chmod(d.data, info.Mode().Perm()|0o011)
}

// postgres gives the directory for Postgres: postgres/ in the data directory. When this process is root and others may
// not pass to there, as in root's home, that is a link to a directory made under /var/lib/tieout; outOf then says which
// directory is closed.
func (d *directory) postgres() (dir, outOf string, err error) {
	inside := d.dataFile("postgres")
	if target, err := os.Readlink(inside); err == nil {
		return target, "", nil // made by an earlier start
	}
	if os.Geteuid() != 0 {
		return inside, "", nil
	}
	closed, err := closedParent(d.data)
	if closed == "" || err != nil {
		return inside, "", err
	}
	if _, err := os.Lstat(inside); !errors.Is(err, fs.ErrNotExist) {
		return inside, "", err // it was reached once: Postgres says what is in the way
	}
	if err := os.MkdirAll(outside, 0o755); err != nil {
		return "", "", err
	}
	dir, err = os.MkdirTemp(outside, "postgres-")
	if err != nil {
		return "", "", fmt.Errorf("making a directory for Postgres: %w", err)
	}
	return dir, closed, os.Symlink(dir, inside)
}

// removePostgres removes what postgres made outside of the data directory.
func (d *directory) removePostgres() error {
	target, err := os.Readlink(d.dataFile("postgres"))
	if err != nil {
		return nil // it is inside
	}
	return os.RemoveAll(target)
}

// closedParent gives the first directory on the way to dir that others may not pass; "" when there is none.
func closedParent(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		if info.Mode()&0o001 == 0 {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}
