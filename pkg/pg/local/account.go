package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom the server runs as when this process is root. A nil account is this process's own user.
type account struct {
	name     string
	uid, gid uint32
}

// accountFor returns the account for the cluster in data, which may not exist yet.
func accountFor(data string) (*account, error) {
	info, err := os.Stat(data)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: the directory belongs to another user; use that one, root, or another directory", err)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var owner *syscall.Stat_t
	if err == nil {
		owner, _ = info.Sys().(*syscall.Stat_t)
	}
	self := os.Geteuid()
	switch {
	case self != 0 && owner != nil && int(owner.Uid) != self:
		return nil, fmt.Errorf("%s belongs to uid %d: use that user, root, or another directory", data, owner.Uid)
	case self != 0:
		return nil, nil
	case owner != nil && owner.Uid != 0:
		return &account{name: "uid " + strconv.Itoa(int(owner.Uid)), uid: owner.Uid, gid: owner.Gid}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("reading user %s: %w", name, err)
		}
		return &account{name: "user " + name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as")
}

// own gives path to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// credential is what a child process runs with; nil for this process's own.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// checkReach finds the first directory on the way to dir that the account may not pass, for postgres itself would
// only say "permission denied".
func (a *account) checkReach(dir string) error {
	if a == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := a.checkReach(parent); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	pass := fs.FileMode(0o001)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case owner.Uid == a.uid:
			pass = 0o100
		case owner.Gid == a.gid:
			pass = 0o010
		}
	}
	if info.Mode()&pass == 0 {
		return fmt.Errorf("postgres runs as %s here, which may not pass through %s (%v): "+
			"choose a directory elsewhere, such as under /var/lib or /tmp, or do not run as root", a.name, dir, info.Mode())
	}
	return nil
}
