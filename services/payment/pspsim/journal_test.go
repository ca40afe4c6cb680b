package pspsim

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/waittest"
)

// TestMain lets the test binary serve as a simulator that can be killed.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.NArg() == 2 && flag.Arg(0) == "serve" {
		if err := serve(flag.Arg(1)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs a simulator until standard input ends, as it does when the parent dies.
func serve(journal string) error {
	s, err := Start(context.Background(), Options{Journal: journal})
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// history makes one effect of each kind and returns the answers to its requests.
func history(b *bench) []answered {
	b.t.Helper()
	charge := b.postCharge("c", "pm_ok")
	id := parse[chargeObject](b.t, charge, http.StatusCreated).ID
	return []answered{charge, b.postCharge("d", "pm_declined"), b.postRefund("r", refundBody(id, 400))}
}

// wantHistory checks that all of history is remembered: its answers, its
// conflicts and what remains to refund, and that only more has happened since.
func wantHistory(b *bench, first []answered, more ...EntryType) {
	b.t.Helper()
	id := parse[chargeObject](b.t, first[0], http.StatusCreated).ID
	again := []answered{b.postCharge("c", "pm_ok"), b.postCharge("d", "pm_declined"), b.postRefund("r", refundBody(id, 400))}
	for i := range first {
		if again[i].body != first[i].body || again[i].status != first[i].status || !again[i].replayed {
			b.t.Errorf("got %+v, want a replay of %+v", again[i], first[i])
		}
	}
	wantError(b.t, b.postCharge("c", "pm_slow"), 409, apiError{Type: typeIdempotency, Code: codeKeyReused})
	wantError(b.t, b.postRefund("r2", refundBody(id, 851)), 400,
		apiError{Type: typeInvalid, Code: codeAmountTooLarge, Param: "amount_minor"})
	b.wantEffects(append([]EntryType{TypeCharge, TypeDecline, TypeRefund}, more...)...)
}

func TestJournal_RestartRemembersEverything(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	addr := nettest.FreeAddr(t)
	before := setup(t, Options{Journal: path, Addr: addr})
	first := history(before)
	before.stop()

	after := setup(t, Options{Journal: path, Addr: addr})
	wantHistory(after, first)
	if diff := cmp.Diff(before.Journal(), after.Journal()); diff != "" {
		t.Errorf("journal (-before +after):\n%s", diff)
	}
	after.mustCharge("c2", "pm_ok")
	after.stop()
	setup(t, Options{Journal: path}).wantEffects(TypeCharge, TypeDecline, TypeRefund, TypeCharge)
}

func TestJournal_SurvivesKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	child := exec.CommandContext(t.Context(), os.Args[0], "serve", path)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	killed := &bench{t: t, url: "http://" + strings.TrimSpace(addr), client: &http.Client{}}
	first := history(killed)
	held := killed.hold("t", "pm_timeout_after")
	waittest.Until(t, "the charge without an answer is found", func() bool { return len(killed.chargesOf("t")) == 1 })
	unanswered := killed.chargesOf("t")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"
	held.wantDropped(t)

	after := setup(t, Options{Journal: path})
	wantHistory(after, first, TypeCharge)
	if diff := cmp.Diff(unanswered, after.chargesOf("t")); diff != "" {
		t.Errorf("charge without an answer (-before +after):\n%s", diff)
	}
	after.hold("t", "pm_timeout_after").wantHeld(t)
}

func TestJournal_CutsOffATornTail(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "journal")
	b := setup(t, Options{Journal: whole})
	first := history(b)
	b.stop()
	text := readFile(t, whole)
	next := strings.Replace(text[strings.LastIndex(text, `{"seq":`):], `"seq":3`, `"seq":4`, 1)
	tails := map[string]string{
		"half a line":            `{"seq":4,"at":"2026-`,
		"a line but its newline": strings.TrimSuffix(next, "\n"),
		"zeros":                  "\x00\x00\x00\x00",
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			writeFile(t, path, text+tail)
			var log logtest.Book
			restarted := setup(t, Options{Journal: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
			wantHistory(restarted, first)
			if !strings.Contains(log.String(), "torn journal line") {
				t.Errorf("the log does not tell of the torn line:\n%s", log.String())
			}
			if got := readFile(t, path); got != text {
				t.Errorf("got journal\n%swant\n%s", got, text)
			}
			restarted.mustCharge("next", "pm_ok")
			restarted.stop()
			setup(t, Options{Journal: path}).wantEffects(TypeCharge, TypeDecline, TypeRefund, TypeCharge)
		})
	}
}

func TestJournal_RefusesWhatItCannotTrust(t *testing.T) {
	t.Parallel()
	const charge = `{"seq":1,"type":"charge","id":"ch_1","idempotency_key":"k","amount_minor":100,"currency":"GBP"}` + "\n"
	tests := map[string]string{
		"garbage in the middle":    charge + "garbage\n" + strings.Replace(charge, "1", "3", 1),
		"a gap":                    charge + strings.Replace(charge, `"seq":1`, `"seq":3`, 1),
		"an entry twice":           charge + charge,
		"an unknown type":          `{"seq":1,"type":"dispute","id":"dp_1"}` + "\n",
		"a refund of nothing":      `{"seq":1,"type":"refund","id":"re_1","charge":"ch_1","amount_minor":1}` + "\n",
		"a chargeback of nothing":  `{"seq":1,"type":"chargeback","id":"dp_1","charge":"ch_1","amount_minor":1}` + "\n",
		"a chargeback of too much": charge + `{"seq":2,"type":"chargeback","id":"dp_1","charge":"ch_1","amount_minor":101}` + "\n",
		"a reversal of nothing":    charge + `{"seq":2,"type":"chargeback_reversal","id":"dr_1","chargeback":"dp_1","charge":"ch_1","amount_minor":1}` + "\n",
		"a refund of too much":     charge + `{"seq":2,"type":"refund","id":"re_1","charge":"ch_1","amount_minor":101}` + "\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			writeFile(t, path, text)
			if s, err := Start(t.Context(), Options{Journal: path}); err == nil {
				t.Errorf("started with the journal %+v", s.Journal())
			}
			if got := readFile(t, path); got != text {
				t.Errorf("the refused journal was changed to\n%s", got)
			}
		})
	}
}

func TestJournal_NothingTakesEffectOnceItFails(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	charge := b.mustCharge("k1", "pm_ok")
	// A read-only descriptor fails the next write, as a full disk would.
	broken, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.book.journal.close(); err != nil {
		t.Fatal(err)
	}
	b.book.journal.file = broken

	failed := apiError{Type: typeAPI, Code: codeJournalFailed}
	wantError(t, b.postCharge("k2", "pm_ok"), 500, failed)
	wantError(t, b.postCharge("k2", "pm_ok"), 500, failed)
	wantError(t, b.postCharge("k3", "pm_ok"), 500, failed)
	wantError(t, b.postRefund("r", refundBody(charge.ID, 1)), 500, failed)
	wantError(t, b.mustDo(http.MethodGet, "/v1/charges?idempotency_key=k2", "", ""), 500, failed)
	wantError(t, b.mustDo(http.MethodGet, "/healthz", "", ""), 503, failed)
	if replay := b.postCharge("k1", "pm_ok"); replay.status != http.StatusCreated || !replay.replayed {
		t.Errorf("got %+v, want a replay of what was durable before", replay)
	}
	b.wantEffects(TypeCharge)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
