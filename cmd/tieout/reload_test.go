package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// TestServe_FollowsItsFile changes the file by hand: at a signal, and without one after a while.
func TestServe_FollowsItsFile(t *testing.T) {
	own := make(chan os.Signal, 100)
	signal.Notify(own, syscall.SIGHUP) // one that came too early would end the test
	defer signal.Stop(own)
	file := filepath.Join(t.TempDir(), "tieout.yaml")
	write := func(text string) {
		t.Helper()
		err := os.WriteFile(file+".new", []byte(text), 0o600)
		if err = errors.Join(err, os.Rename(file+".new", file)); err != nil { // at once: one that is empty has no quotas
			t.Fatal(err)
		}
	}
	write("log: {level: warn}\n")
	c := &cli{environ: []string{"TIEOUT_CONFIG=" + file}}
	cmd, _, err := newRoot(c).Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := servicetest.Config()
	p := servicetest.StartWith(t, cfg)
	go follow(t.Context(), p, c.configFile(cmd), func() (service.Config, error) {
		again, err := c.loadConfig(cmd)
		return again.Config, err
	})
	client := auditv1.NewAuditServiceClient(servicetest.Dial(t, p, "shop"))
	refused := func() bool {
		stream, err := client.RunAudit(t.Context(), &auditv1.RunAuditRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return rpcerr.Is(err, rpcerr.QuotaExceeded)
	}
	if refused() {
		t.Fatal("refused without a quota")
	}
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("quotas: {rules: [{caller: '*', class: read, rate: 0.001, burst: 1}]}\n")
	waittest.Until(t, "the quota holds", func() bool { hangUp(); return refused() })
	write("quotas: {rules: [{caller: '*', class: read, rate: nonsense}]}\n")
	hangUp()
	if !refused() {
		t.Error("a file that cannot be used ended the quota")
	}
	began := time.Now()
	write("log: {level: warn}\n")
	waittest.Until(t, "the quota is gone", func() bool { return !refused() })
	logs := func() bool { return p.Log().Enabled(t.Context(), slog.LevelDebug) }
	if logs() {
		t.Error("debug is logged, and warn is the level")
	}
	if took := time.Since(began); took > 2*lookEvery {
		t.Errorf("the change was noticed after %v", took)
	}
	write("log: {level: debug}\n")
	waittest.Until(t, "the level is the file's", func() bool { hangUp(); return logs() })
}
