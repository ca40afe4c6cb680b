package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tieout/tieout/cmd/tieout/doctor"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestDev_IsReadyWhenItSaysSo(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	info, err := os.Stat(filepath.Join(d.dir, "ready.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("ready.json holds a password and is %v", info.Mode())
	}
	for _, url := range []string{d.ready.Metrics, d.ready.HTTP + "/readyz", d.ready.PSP + "/healthz"} {
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", url, answer.Status)
		}
	}
	code, stdout, stderr := d.tieout(t, "", "doctor", "--data-dir", d.dir, "-o", "json")
	if code != exitOK {
		t.Errorf("doctor exits with %d: %s", code, stderr)
	}
	for _, c := range decode[[]doctor.Check](t, stdout) {
		if c.Status != doctor.OK {
			t.Errorf("doctor finds %+v", c)
		}
	}
}

func TestDev_StopsInOrderAndKeepsItsData(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	if code, _, stderr := d.tieout(t, "", "stock", "receive", "MUG", "7"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	pid := postgresPID(t, d.dir)
	if code := d.stop(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM ended it with %d: %s", code, d.stderr.String())
	}
	if postgresRuns(t, pid) {
		t.Error("Postgres still runs")
	}
	if exists(t, filepath.Join(d.dir, "ready.json")) {
		t.Error("ready.json is still there")
	}

	d = startDev(t, d.dir)
	pid = postgresPID(t, d.dir)
	_, stdout, stderr := d.tieout(t, "", "stock", "get", "MUG", "-o", "json")
	if got := decode[map[string]any](t, stdout)["available"]; got != "7" {
		t.Errorf("after a restart there are %v pieces, want 7: %s", got, stderr)
	}
	d.stop(t, syscall.SIGKILL)
	if err := os.Remove(filepath.Join(d.dir, "ready.json")); err != nil { // so that the next one is waited for
		t.Fatal(err)
	}
	waittest.Until(t, "Postgres ends with the killed process", func() bool { return !postgresRuns(t, pid) })

	d = startDev(t, d.dir)
	_, stdout, _ = d.tieout(t, "", "stock", "get", "MUG", "-o", "json")
	if got := decode[map[string]any](t, stdout)["available"]; got != "7" {
		t.Errorf("after kill -9 there are %v pieces, want 7", got)
	}
	if code := d.stop(t, syscall.SIGINT); code != exitOK {
		t.Errorf("SIGINT ended it with %d: %s", code, d.stderr.String())
	}
}

// Nobody but the provider tells of a chargeback, and only once.
func TestDev_IsToldOfAChargebackBeforeItStops(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	conn := servicetest.DialAddr(t, d.ready.GRPC, "test")
	charged, err := paymentv1.NewPaymentServiceClient(conn).Charge(t.Context(), &paymentv1.ChargeRequest{
		IdempotencyKey: "taken-back-by-the-bank", Amount: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: 1250},
		PaymentMethod: "pm_ok", CustomerId: "cus_1", Reference: "ord_1",
	})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(d.ready.PSP+"/admin/chargebacks", "application/json",
		strings.NewReader(`{"charge": "`+charged.GetPayment().GetProviderChargeId()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if code := d.stop(t, syscall.SIGTERM); code != exitOK || answer.StatusCode != http.StatusOK {
		t.Fatalf("the chargeback was answered %s, SIGTERM ended it with %d: %s", answer.Status, code, d.stderr.String())
	}
	d = startDev(t, d.dir)
	waittest.Until(t, "the chargeback is booked", func() bool {
		_, stdout, _ := d.tieout(t, "", "payment", "list", "--state", "chargeback", "-o", "json")
		return strings.Contains(stdout, charged.GetPayment().GetPaymentId())
	})
}

func TestDev_RefusesWhatIsTaken(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"directory":    {[]string{"dev", "--data-dir", d.dir}, []string{d.dir, "in use"}},
		"gRPC address": {[]string{"dev", "--data-dir", dataDir(t), "--grpc-addr", d.ready.GRPC}, []string{"--grpc-addr", d.ready.GRPC}},
		"HTTP address": {
			[]string{"dev", "--data-dir", dataDir(t), "--grpc-addr", "127.0.0.1:0", "--http-addr", strings.TrimPrefix(d.ready.HTTP, "http://")},
			[]string{"--http-addr"},
		},
	} {
		code, stdout, stderr := d.tieout(t, "", test.args...)
		if code != exitPrecondition || stdout != "" {
			t.Errorf("%s: exit %d, stdout %q", name, code, stdout)
		}
		for _, text := range test.want {
			if !strings.Contains(stderr, text) {
				t.Errorf("%s: stderr lacks %q: %s", name, text, stderr)
			}
		}
	}
}

func TestDev_LeavesNothingOfAnEphemeralDirectory(t *testing.T) {
	t.Parallel()
	temp := dataDir(t)
	if err := os.Mkdir(temp, 0o700); err != nil { // closed to the user that Postgres runs as for root
		t.Fatal(err)
	}
	cmd := command(context.WithoutCancel(t.Context()), t, []string{"TMPDIR=" + temp},
		"dev", "--ephemeral", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var found []string
	waittest.Until(t, "ready.json appears", func() bool {
		var err error
		if found, err = filepath.Glob(filepath.Join(temp, "tieout-dev-*", "ready.json")); err != nil {
			t.Fatal(err)
		}
		return len(found) == 1
	})
	databases, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(found[0]), "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM ended it with %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if exists(t, databases) {
		t.Errorf("left behind: %s", databases)
	}
}
