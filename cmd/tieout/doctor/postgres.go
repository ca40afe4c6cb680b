package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

const (
	minVersion = 15
	// defaultPool is how many connections a service keeps that does not say.
	defaultPool = 10
	// reserved connections are kept back by Postgres for superusers.
	reserved = 3
	// slightDrift and largeDrift are how far the clocks may differ before it is worth a warning, and before
	// timestamps and deadlines are wrong.
	slightDrift = time.Second
	largeDrift  = 30 * time.Second
)

// server is a Postgres server that services have databases on.
type server struct {
	name     string // host:port
	dsn      string // of one of its databases
	services []string
	conns    int // that the services keep at most
}

// servers are the servers of the services' databases, each once.
func servers(services []service.Service) []*server {
	byName := map[string]*server{}
	var all []*server
	for _, s := range services {
		name := s.Postgres.DSN
		if cfg, err := pgx.ParseConfig(s.Postgres.DSN); err == nil {
			name = net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		}
		if byName[name] == nil {
			byName[name] = &server{name: name, dsn: s.Postgres.DSN}
			all = append(all, byName[name])
		}
		byName[name].services = append(byName[name].services, s.Name)
		byName[name].conns += int(cmp.Or(s.Postgres.MaxConns, defaultPool))
	}
	return all
}

// look checks one server.
func (s *server) look(ctx context.Context) []Check {
	title := "postgres " + s.name
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return []Check{{Name: "postgres of " + strings.Join(s.services, ", "), Status: Fail, Detail: oneLine(err), Remedy: "start Postgres, or correct the DSN"}}
	}
	defer conn.Close(context.WithoutCancel(ctx))
	asked := time.Now()
	var now time.Time
	var version, connections int
	var fsync, fullPages, syncCommit string
	err = conn.QueryRow(ctx, `
		SELECT clock_timestamp(), current_setting('server_version_num')::int / 10000, current_setting('max_connections')::int,
		       current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`).
		Scan(&now, &version, &connections, &fsync, &fullPages, &syncCommit)
	if err != nil {
		return []Check{{Name: title, Status: Fail, Detail: oneLine(err), Remedy: "see Postgres' log"}}
	}
	return []Check{
		s.version(version),
		setting("postgres fsync", fsync, "a crash of the machine loses or breaks what was confirmed"),
		setting("postgres full_page_writes", fullPages, "a crash of the machine can break pages"),
		setting("postgres synchronous_commit", syncCommit, "a crash loses what was confirmed"),
		s.connections(connections),
		clock(now, asked, time.Now()),
	}
}

func (s *server) version(version int) Check {
	c := Check{Name: "postgres version", Status: OK, Detail: fmt.Sprintf("%d at %s", version, s.name)}
	if version < minVersion {
		c.Status, c.Remedy = Fail, fmt.Sprintf("upgrade to %d or newer", minVersion)
	}
	return c
}

// setting checks one that must be on, or a stronger value.
func setting(name, value, otherwise string) Check {
	c := Check{Name: name, Status: OK, Detail: value}
	if value == "off" {
		_, key, _ := strings.Cut(name, " ")
		c.Status, c.Detail, c.Remedy = Fail, "off: "+otherwise, "set "+key+" = on in postgresql.conf and reload"
	}
	return c
}

func (s *server) connections(most int) Check {
	c := Check{Name: "postgres max_connections", Status: OK, Detail: fmt.Sprintf("%d, of which one process of each service takes up to %d", most, s.conns)}
	if s.conns > most-reserved {
		c.Status, c.Remedy = Fail, "raise max_connections, or lower the services' postgres.max_conns"
	}
	return c
}

// clock compares this machine's clock with Postgres', which was read between two moments of ours.
func clock(theirs, before, after time.Time) Check {
	var drift time.Duration
	switch {
	case theirs.Before(before):
		drift = before.Sub(theirs)
	case theirs.After(after):
		drift = theirs.Sub(after)
	}
	c := Check{Name: "clock", Status: OK, Detail: fmt.Sprintf("%s apart from Postgres'", drift.Round(time.Millisecond))}
	if drift > slightDrift {
		c.Status, c.Remedy = Warn, "let NTP set the clocks of this machine and of Postgres'"
	}
	if drift > largeDrift {
		c.Status = Fail
	}
	return c
}

func migrations(ctx context.Context, s service.Service) Check {
	c := Check{Name: "migrations " + s.Name, Status: OK, Detail: "current"}
	statuses, err := pg.Status(ctx, s.Postgres.DSN, s.Migrations...)
	if err != nil {
		c.Status, c.Detail, c.Remedy = Fail, oneLine(err), "see the check of Postgres"
		return c
	}
	for _, m := range statuses {
		if m.Pending() {
			c.Status, c.Remedy = Fail, "run `tieout migrate up`"
			c.Detail = fmt.Sprintf("%s is at %d of %d", m.Set, m.Applied, m.Latest)
		}
	}
	return c
}

// oneLine is an error's text as a table can hold it.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
