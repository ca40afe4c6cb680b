package audit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxViolations is how many violations of a check are told.
	maxViolations = 100
	// checkLimit is how long one check may take.
	checkLimit = time.Minute
	// queryCanceled is the SQLSTATE of a statement that took too long.
	queryCanceled = "57014"
)

// errTooSlow says that a check took longer than it may.
var errTooSlow = fmt.Errorf("it did not end within %s", checkLimit)

// kind says when an invariant holds, as the comment on its view begins.
type kind string

const (
	always  kind = "A"
	quiet   kind = "Q" // when nothing is in flight
	inBound kind = "L" // within a bound of time
)

// check is one invariant of one database.
type check struct {
	service   string
	number    int32
	name      string
	kind      kind
	statement string
	view      string
}

// violation is one thing of which an invariant does not hold.
type violation struct {
	id, detail string
}

// result is what a check found.
type result struct {
	check
	count      int64
	violations []violation // the first by id
	took       time.Duration
	err        error // why it could not be checked
}

// database is a service's, with what to check in it.
type database struct {
	service string
	pool    *pgxpool.Pool
}

var (
	viewName    = regexp.MustCompile(`^inv_([1-9][0-9]?)_([a-z0-9_]+)$`)
	viewComment = regexp.MustCompile(`^([AQL]): (.+)$`)
)

const listChecks = `
SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '')
  FROM pg_catalog.pg_class c
 WHERE c.relkind = 'v' AND c.relname LIKE 'inv\_%' AND pg_table_is_visible(c.oid)`

// checks finds the checks of a database, by number. A view that is not named or commented as one is an error.
func (d database) checks(ctx context.Context) ([]check, error) {
	rows, err := d.pool.Query(ctx, listChecks+` ORDER BY substring(c.relname FROM '[0-9]+')::int, c.relname`)
	if err != nil {
		return nil, fmt.Errorf("listing checks of %s: %w", d.service, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (check, error) {
		var view, comment string
		if err := row.Scan(&view, &comment); err != nil {
			return check{}, err
		}
		return d.parse(view, comment)
	})
	if err != nil {
		return nil, fmt.Errorf("listing checks of %s: %w", d.service, err)
	}
	return found, nil
}

func (d database) parse(view, comment string) (check, error) {
	name, statement := viewName.FindStringSubmatch(view), viewComment.FindStringSubmatch(comment)
	if name == nil || statement == nil {
		return check{}, fmt.Errorf("view %s (%q) is not inv_<number>_<name> with a comment that begins with A, Q or L and a colon", view, comment)
	}
	number, err := strconv.ParseInt(name[1], 10, 32)
	if err != nil {
		return check{}, fmt.Errorf("view %s: %w", view, err)
	}
	return check{
		service: d.service, number: int32(number), name: name[2], kind: kind(statement[1]), statement: statement[2], view: view,
	}, nil
}

// run runs a check.
func (d database) run(ctx context.Context, c check) result {
	begun := time.Now()
	r := result{check: c}
	r.err = pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		limit := strconv.FormatInt(checkLimit.Milliseconds(), 10)
		if _, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, limit); err != nil {
			return err
		}
		query := `SELECT id, detail, count(*) OVER () FROM ` + pgx.Identifier{c.view}.Sanitize() + ` ORDER BY id LIMIT $1`
		rows, err := tx.Query(ctx, query, maxViolations)
		if err != nil {
			return err
		}
		r.violations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v violation, err error) {
			return v, row.Scan(&v.id, &v.detail, &r.count)
		})
		return err
	})
	if pgErr, ok := errors.AsType[*pgconn.PgError](r.err); ok && pgErr.Code == queryCanceled {
		r.err = errTooSlow
	}
	r.took = time.Since(begun)
	return r
}
