package payment

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/reference/payments.md")

const docsPath = "../../docs/reference/payments.md"

// stateMeanings are what the documentation says of each state, and of a restart in it.
var stateMeanings = []struct {
	state   state
	meaning string
}{
	{created, "Durable, and nothing has left for the provider, or it certainly did not arrive. The next request under the key sends."},
	{authorizing, "The provider may have been asked to set the money aside. After a restart it is asked what became of that."},
	{authorized, "The provider has set the money aside."},
	{capturing, "The provider may have been asked for the money. After a restart it is asked what became of that."},
	{unknown, "The provider was asked, and the answer was lost. It is asked again and again what became of that; it never becomes a failure by waiting."},
	{captured, "The provider has taken the money."},
	{partiallyRefunded, "A part of it went back."},
	{refunded, "All of it went back."},
	{chargeback, "The customer's bank took money back."},
	{voided, "No money was taken, and none will be. Final."},
	{declined, "The provider said no. Final."},
}

func TestStates_AreDocumented(t *testing.T) {
	t.Parallel()
	want := stateDocs()
	if *update {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the table says (-want +got); run go test ./services/payment -run Documented -update:\n%s", docsPath, diff)
	}
}

func stateDocs() string {
	var b strings.Builder
	b.WriteString("# The states of a payment\n\nPrinted from the table in services/payment/state.go by its test; `go test ./services/payment -run Documented -update` writes it.\n\n")
	b.WriteString("| state | meaning |\n|---|---|\n")
	for _, s := range stateMeanings {
		fmt.Fprintf(&b, "| %s | %s |\n", s.state, s.meaning)
	}
	b.WriteString("\n```mermaid\nstateDiagram-v2\n    [*] --> capturing: charge\n    [*] --> authorizing: authorize\n")
	for _, row := range transitions {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", row.from, row.to, row.by)
	}
	b.WriteString("    declined --> [*]\n    voided --> [*]\n```\n")
	return b.String()
}

func TestStates_AllHaveANameAndAMeaning(t *testing.T) {
	t.Parallel()
	for s := range stateNames {
		if !slices.ContainsFunc(stateMeanings, func(m struct {
			state   state
			meaning string
		}) bool {
			return m.state == s
		}) {
			t.Errorf("%s has no meaning", s)
		}
	}
	for _, row := range transitions {
		if row.from.String() == "" || row.to.String() == "" {
			t.Errorf("transition %v has a state without a name", row)
		}
		if to, err := row.from.after(row.by); err != nil || to != row.to {
			t.Errorf("%s by %s leads to %s and %s", row.from, row.by, to, row.to)
		}
	}
	if _, err := voided.after(changeCapture); err == nil {
		t.Error("what is voided can be captured")
	}
}
