package orchestrator

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/orchestrator/saga"
)

var update = flag.Bool("update", false, "rewrite docs/reference/sagas.md")

// TestDocs_ShowTheDefinitionsAsTheyAre compares the documentation with what is printed from the definitions.
func TestDocs_ShowTheDefinitionsAsTheyAre(t *testing.T) {
	t.Parallel()
	const path = "../../docs/reference/sagas.md"
	var b strings.Builder
	b.WriteString("# Sagas\n\nPrinted from the definitions in services/orchestrator (order.go, recurring.go); a test compares.\n\n" +
		"A step that is pending, because its participant has taken it over, stays where it is and is asked about until it is\n" +
		"known, every 5s at the most. Any call that is denied parks the saga. New orders run the last version; a saga that is\n" +
		"under way keeps the one that it started with.\n")
	for _, d := range append(slices.Clone(orderSagas), recurringV1) {
		fmt.Fprintf(&b, "\n## %s v%d\n\nIt turns back if it has not come to its pivot within %s.\n\n", d.Name, d.Version, d.Deadline)
		b.WriteString("| step | kind | execute | look up | compensate | forward | back |\n|---|---|---|---|---|---|---|\n")
		for _, s := range d.Steps {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", s.Name, s.Kind, s.Execute, s.Lookup, s.Compensate, patienceText(s.Forward), patienceText(s.Back))
		}
		fmt.Fprintf(&b, "\n```mermaid\n%s```\n", saga.Mermaid(d))
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), b.String()); diff != "" {
		t.Errorf("docs/reference/sagas.md is not what the definitions say; run this test with -update (-committed +now):\n%s", diff)
	}
}

func patienceText(r saga.Retry) string {
	if r.Attempts == 0 {
		return ""
	}
	return fmt.Sprintf("%d × %s, waits %s to %s", r.Attempts, r.Timeout, r.Initial, r.Max)
}
