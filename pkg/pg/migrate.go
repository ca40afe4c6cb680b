package pg

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A session that waits for the migration lock asks once a second for ten minutes. It asks instead of blocking, for a
// blocked session holds a snapshot, and CREATE INDEX CONCURRENTLY in the other one would wait for that for ever.
const (
	lockRetrySeconds = 1
	lockRetries      = 600
)

var setName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Migrations is a set of schema changes that is applied and counted on its own, so that a service's tables and the
// kit's can live in one database.
type Migrations struct {
	// Name makes the version table goose_<Name>: lower-case letters, digits and underscores, at most 40.
	Name string
	// FS holds goose SQL files NNNN_name.sql at its root.
	FS fs.FS
}

// MigrationStatus says how far one set is applied.
type MigrationStatus struct {
	// Set is the name of the set.
	Set string
	// Applied is the highest version in the database, 0 when there is none.
	Applied int64
	// Latest is the highest version in the set.
	Latest int64
}

// Pending reports whether the database lacks a migration of the set. A database that is ahead, because a newer
// binary migrated it, lacks none.
func (s MigrationStatus) Pending() bool { return s.Applied < s.Latest }

// Migrate applies what is missing of every set, in the order given; each migration in a transaction of its own unless
// its file says otherwise. Any number of processes may migrate a database at once: an advisory lock lets one through
// at a time. An error leaves the migrations before it applied, and the next call goes on from there.
func Migrate(ctx context.Context, dsn string, sets ...Migrations) error {
	db, err := openSQL(dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, set := range sets {
		provider, err := set.provider(db)
		if err != nil {
			return err
		}
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("migrating %s: %w", set.Name, err)
		}
	}
	return nil
}

// Status says how far each set is applied. It only reads, and takes no lock.
func Status(ctx context.Context, dsn string, sets ...Migrations) ([]MigrationStatus, error) {
	db, err := openSQL(dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	statuses := make([]MigrationStatus, 0, len(sets))
	for _, set := range sets {
		status, err := set.status(ctx, db)
		if err != nil {
			return nil, fmt.Errorf("reading migration status of %s: %w", set.Name, err)
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}

func openSQL(dsn string) (*sql.DB, error) {
	// Parsed as a pool's, for the same DSN may carry pool_* settings that the server would not understand.
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parsing database DSN: %w", err)
	}
	return stdlib.OpenDB(*cfg.ConnConfig), nil
}

func (m Migrations) provider(db *sql.DB) (*goose.Provider, error) {
	if !setName.MatchString(m.Name) {
		return nil, fmt.Errorf("migration set name %q does not match %s", m.Name, setName)
	}
	// A locker counts its attempts, so every provider gets a new one.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockRetrySeconds, lockRetries))
	if err != nil {
		return nil, fmt.Errorf("preparing migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, m.FS,
		goose.WithTableName(m.versionTable()),
		goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("reading migrations of %s: %w", m.Name, err)
	}
	return provider, nil
}

func (m Migrations) versionTable() string { return "goose_" + m.Name }

func (m Migrations) status(ctx context.Context, db *sql.DB) (MigrationStatus, error) {
	provider, err := m.provider(db)
	if err != nil {
		return MigrationStatus{}, err
	}
	sources := provider.ListSources() // ascending, and never empty: NewProvider refuses that
	status := MigrationStatus{Set: m.Name, Latest: sources[len(sources)-1].Version}

	// goose's own query would create the version table.
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, m.versionTable()).Scan(&exists); err != nil {
		return MigrationStatus{}, fmt.Errorf("looking for the version table: %w", err)
	}
	if !exists {
		return status, nil
	}
	query := `SELECT coalesce(max(version_id), 0) FROM ` + m.versionTable()
	if err := db.QueryRowContext(ctx, query).Scan(&status.Applied); err != nil {
		return MigrationStatus{}, fmt.Errorf("reading the version table: %w", err)
	}
	return status, nil
}
