package service_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

func TestReload_ReplacesQuotasFromTheNextCall(t *testing.T) {
	t.Parallel()
	cfg := quietConfig()
	p := mustStart(t, cfg, inventoryService(answer))
	defer stop(t, p)
	conn := servicetest.Dial(t, p, "shop")
	reload := func(rules ...quota.Rule) error {
		cfg.Quotas.Rules = rules
		return p.Reload(cfg)
	}
	if err := reload(quota.Rule{Caller: "*", Class: "read", Rate: 0.001, Burst: 1}); err != nil {
		t.Fatal(err)
	}
	if err := getStock(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	rpcerrtest.Want(t, getStock(t.Context(), conn), rpcerr.QuotaExceeded, "caller:shop/class:read")
	if err := reload(quota.Rule{Caller: "*"}); err == nil {
		t.Error("a rule without a class was taken")
	}
	rpcerrtest.Want(t, getStock(t.Context(), conn), rpcerr.QuotaExceeded, "caller:shop/class:read")
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if err := getStock(t.Context(), conn); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

func TestReload_ChangesTheLevelOfEveryServicesLog(t *testing.T) {
	t.Parallel()
	var env *service.Env
	inventory := inventoryService(answer, func(e *service.Env) error {
		env = e
		return nil
	})
	inventory.Postgres.DSN = pgtest.DSN(t)
	cfg, log := quietConfig(), &logtest.Book{}
	p, err := service.Start(t.Context(), cfg, log, inventory)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, p)
	said := func(message string) bool {
		env.Log.DebugContext(context.Background(), message)
		return log.Find(message) != nil
	}
	if said("at warn") {
		t.Error("the level is warn, and a line at debug is written")
	}
	for _, level := range []string{"debug", "error"} {
		cfg.Log.Level = level
		if err := p.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		if got := said("at " + level); got != (level == "debug") {
			t.Errorf("at %s a line at debug is written: %v", level, got)
		}
		if want := `"log_level":"` + strings.ToUpper(level); !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say that its level is %s", level)
		}
	}
	cfg.Log.Level, cfg.Quotas.Rules = "loud", nil
	if err := p.Reload(cfg); err == nil || !strings.Contains(err.Error(), "log.level") {
		t.Errorf("a level that is none: got %v", err)
	}
	cfg.Log.Level, cfg.Quotas.Rules = "debug", []quota.Rule{{Caller: "*"}}
	if err := p.Reload(cfg); err == nil || said("after a mistake") {
		t.Errorf("a rule without a class: got %v, and the level changed: %v", err, said("after a mistake"))
	}
}
