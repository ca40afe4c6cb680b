package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/local"
)

const (
	dirPrefix = "tieout-pgtest-"
	// leftoverAge keeps the sweep away from a directory that another binary has just made and not locked yet.
	leftoverAge = time.Hour
	// memory is where Linux has files in memory. Making and dropping databases is thousands of files, and the disk took a fifth of
	// the time of a package that does so for each test.
	memory = "/dev/shm"
	// room is how much must be free there, in bytes, for a cluster to lie there.
	room = 4 << 30
	// role owns every test database.
	role = "pgtest"
)

// cluster is a running server with the templates made so far.
type cluster struct {
	dir    string
	server *local.Server
	admin  *pgxpool.Pool // superuser, for creating and dropping databases
	roleIn *url.URL      // role's URL, its path to be replaced
	clones atomic.Int64

	mu        sync.Mutex
	templates map[string]func() error // by name; each makes its template once
}

func startCluster(ctx context.Context) (_ *cluster, err error) {
	parent := filesIn()
	sweepLeftovers(parent)
	dir, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, templates: make(map[string]func() error)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.end(ctx))
		}
	}()
	if c.server, err = local.Start(ctx, local.Options{Dir: dir}); err != nil {
		return nil, err
	}
	dsn, err := c.server.EnsureDatabase(ctx, role)
	if err != nil {
		return nil, err
	}
	if c.roleIn, err = url.Parse(dsn); err != nil {
		return nil, err
	}
	if c.admin, err = pg.Open(ctx, pg.Config{DSN: c.server.DSN("postgres"), ApplicationName: "pgtest"}); err != nil {
		return nil, err
	}
	return c, nil
}

// filesIn is where clusters lie: where TMPDIR says, else in memory if there is room, for nothing of them has to survive the machine.
func filesIn() string {
	var there syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &there) != nil || uint64(there.Bavail)*uint64(there.Bsize) < room {
		return os.TempDir()
	}
	return memory
}

func (c *cluster) end(ctx context.Context) error {
	if c.admin != nil {
		c.admin.Close()
	}
	var stopped error
	if c.server != nil {
		stopped = c.server.Stop(ctx)
	}
	return errors.Join(stopped, os.RemoveAll(c.dir))
}

func (c *cluster) dsn(database string) string {
	u := *c.roleIn
	u.Path = "/" + database
	return u.String()
}

// clone makes a database with the sets applied and returns its name.
func (c *cluster) clone(ctx context.Context, sets []pg.Migrations) (string, error) {
	template, err := templateName(sets)
	if err != nil {
		return "", err
	}
	if err := c.templateOnce(template, sets)(); err != nil {
		return "", fmt.Errorf("making the template: %w", err)
	}
	name := fmt.Sprintf("test_%d", c.clones.Add(1))
	return name, c.create(ctx, name, template)
}

// templateOnce returns the function that makes the template when it is first called, and its outcome ever after. It
// does not run under the first test's context, for the other tests depend on it too.
func (c *cluster) templateOnce(name string, sets []pg.Migrations) func() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.templates[name] == nil {
		c.templates[name] = sync.OnceValue(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), setUpLimit)
			defer cancel()
			if err := c.create(ctx, name, "template1"); err != nil {
				return err
			}
			return pg.Migrate(ctx, c.dsn(name), sets...)
		})
	}
	return c.templates[name]
}

// create takes names made here, which need no quoting.
func (c *cluster) create(ctx context.Context, name, template string) error {
	_, err := c.admin.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+role+" TEMPLATE "+template)
	return err
}

func (c *cluster) drop(ctx context.Context, name string) error {
	_, err := c.admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	return err
}

// templateName is a function of all that the sets would do.
func templateName(sets []pg.Migrations) (string, error) {
	sum := sha256.New()
	for _, set := range sets {
		fmt.Fprintf(sum, "set %q\n", set.Name)
		if err := hashFiles(sum, set.FS); err != nil {
			return "", fmt.Errorf("reading migrations of %s: %w", set.Name, err)
		}
	}
	return "template_" + hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func hashFiles(sum hash.Hash, files fs.FS) error {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "file %q %q\n", name, content)
	}
	return nil
}

// sweepLeftovers removes the directories of test binaries that were killed. A directory whose lock is free has no
// process; errors are another user's directories, or another sweep at work.
func sweepLeftovers(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		lock, err := os.Open(dir)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		lock.Close()
	}
}
