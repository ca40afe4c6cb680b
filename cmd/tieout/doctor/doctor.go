package doctor

import (
	"context"
	"fmt"
	"time"

	redislocal "github.com/tieout/tieout/pkg/cache/local"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/service"
)

// limit is how long one check may take.
const limit = 5 * time.Second

// Status is the verdict of a check.
type Status string

// The verdicts. Only Fail is a finding; Warn is something to know.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Check is one thing that was looked at.
type Check struct {
	// Name says what: "postgres fsync".
	Name string `json:"check"`
	// Status is the verdict.
	Status Status `json:"status"`
	// Detail is what was found, in one line.
	Detail string `json:"detail"`
	// Remedy is what to do about it; empty when all is well.
	Remedy string `json:"remedy"`
}

// Target is what to look at.
type Target struct {
	// Running tells that the system is meant to be running at GRPC and HTTP; else they should be free.
	Running bool
	// NeedsBinaries tells that Postgres' server binaries must be installed here, as `tieout dev` needs them.
	NeedsBinaries bool
	// GRPC and HTTP are host:port.
	GRPC, HTTP string
	// NATS is the server's URL; empty to leave it out.
	NATS string
	// Services are those whose databases are looked at.
	Services []service.Service
}

// Run makes all checks, one after the other, and gives each to report.
func Run(ctx context.Context, t Target, report func(Check) error) error {
	checks := []func(context.Context) []Check{t.binaries, t.ports}
	for _, s := range servers(t.Services) {
		checks = append(checks, s.look)
	}
	for _, s := range t.Services {
		checks = append(checks, func(ctx context.Context) []Check { return []Check{migrations(ctx, s)} })
	}
	if t.NATS != "" {
		checks = append(checks, func(ctx context.Context) []Check { return nats(ctx, t.NATS) })
	}
	for _, look := range checks {
		ctx, cancel := context.WithTimeout(ctx, limit)
		found := look(ctx)
		cancel()
		for _, c := range found {
			if err := report(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t Target) binaries(context.Context) []Check {
	c := Check{Name: "postgres binaries", Status: OK}
	found, err := local.Find()
	switch {
	case err == nil:
		c.Detail = fmt.Sprintf("version %d in %s", found.Version, found.Dir)
	case t.NeedsBinaries:
		c.Status, c.Detail, c.Remedy = Fail, "none found", err.Error()
	default:
		c.Detail = "none found; only `tieout dev` needs them"
	}
	return []Check{c, redisBinary()}
}

// redisBinary is never a finding: nothing needs Redis.
func redisBinary() Check {
	c := Check{Name: "redis binary", Status: OK, Detail: "none found; only `tieout dev --redis` needs it"}
	if path, err := redislocal.Find(); err == nil {
		c.Detail = path
	}
	return c
}
