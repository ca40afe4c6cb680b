package main

import (
	"bytes"
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// interrupted runs a command, interrupts it when ready says so, and gives its exit code and stderr.
func (d *daemon) interrupted(t *testing.T, stdin string, ready func(stdout string) bool, args ...string) (code int, stderr string) {
	t.Helper()
	cmd := command(context.WithoutCancel(t.Context()), t, []string{envAddr + "=" + d.ready.GRPC}, args...)
	var out logtest.Book
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	waittest.Until(t, "the command is under way", func() bool { return ready(out.String()) })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code tells
	return cmd.ProcessState.ExitCode(), errs.String()
}

func TestInterrupt_DetachesAndTheOrderGoesOn(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataDir(t))
	if code, _, stderr := d.tieout(t, "", "stock", "receive", "MUG", "9"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	id := ""
	code, stderr := d.interrupted(t, orderLine("order-stuck", "MUG", 1, "pm_timeout_before", "GB"), func(string) bool {
		_, stdout, _ := d.tieout(t, "", "order", "list", "-o", "jsonl")
		if stdout != "" {
			id, _ = decode[map[string]any](t, stdout)["order_id"].(string)
		}
		return id != ""
	}, "order", "place", "-f", "-", "--wait")
	if code != exitPartial || !strings.Contains(stderr, "Run the same command again") {
		t.Errorf("order place: exit %d, %s", code, stderr)
	}

	code, stderr = d.interrupted(t, "", func(stdout string) bool { return strings.Contains(stdout, "PROCESSING") },
		"order", "watch", id, "-o", "json")
	if code != exitOK || !strings.Contains(stderr, "order watch "+id) {
		t.Errorf("order watch: exit %d, %s", code, stderr)
	}

	for run, note := range []string{"", "replayed"} {
		code, stdout, stderr := d.tieout(t, "", "order", "cancel", id, "--reason", "changed my mind", "-o", "json")
		if code != exitOK || !strings.Contains(stderr, note) {
			t.Fatalf("order cancel, run %d: exit %d, %s", run, code, stderr)
		}
		order := decode[map[string]any](t, stdout)
		if cause, _ := order["cause"].(string); !strings.Contains(cause, "changed my mind") {
			t.Errorf("order cancel, run %d: the cause is %q", run, cause)
		}
	}
	code, stdout, stderr := d.tieout(t, "", "order", "watch", id, "-o", "json")
	if changes := decode[[]map[string]any](t, stdout); code != exitOK || changes[len(changes)-1]["state"] != "ORDER_STATE_COMPENSATED" {
		t.Errorf("order watch: exit %d, %s%s", code, stdout, stderr)
	}
}
