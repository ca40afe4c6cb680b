package breaks_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/breaks"
)

var update = flag.Bool("update", false, "rewrite docs/reference/breaks.md")

// docsIntro has a tilde for each backquote.
const docsIntro = `# Breaks

Printed from services/reconciliation/breaks; a test compares.

A break is a difference between what two sides say, until it is explained. Its id is made of what it is about – its code, its
subject, and the keys of its movements – so that the same difference is the same break, whoever sees it and how often. What is
seen is updated; what is not seen any more by who looked for it is closed, and opened again when it is back. Nothing of a break
is ever deleted, and its history is never changed.

The amount of a break is theirs less ours; of a fee, what theirs is more. Its severity is the highest of that of its code, that
of its amount, and that of its age in business days.

## Looking and deciding

~tieout break list~ and ~tieout break get~ show them; ~BreakService~ is the API. A person decides on one by its id, or on all
that a filter holds for, as they are when it is planned; without ~--yes~ nothing is done:

    tieout break list --filter 'severity >= high AND currency = EUR AND assignee = ""'
    tieout break assign --filter 'severity >= high AND currency = EUR AND assignee = ""' --to ann --reason "on duty"
    tieout break operation apply OPERATION --yes
    tieout break operation list | get OPERATION | watch OPERATION | cancel OPERATION --reason WHY --yes

A filter is as the one of sagas (AIP-160). What is resolved is left out unless it compares ~state~ or ~resolution~.

| field | compares with | is |
|---|---|---|
| ~code~ | = != | one of the codes below |
| ~state~, ~resolution~ | = != | where it is in its life, and what ended it |
| ~severity~, ~age_days~ | = != < <= > >= | as they are today; what is resolved is as severe as it was without its age |
| ~amount~, ~currency~ | = !=, amounts also < <= > >= | theirs less ours, in minor units |
| ~account~, ~assignee~, ~order_id~, ~payment_id~, ~subject~, ~note~, ~watcher~ | = != : | texts; ~:~ is part of it, ~: *~ anything at all, ~""~ nothing |
| ~snoozed~, ~matched~ | = != | true or false: left alone until a time; about how something is matched |
| ~create_time~, ~update_time~, ~run_number~ | = != < <= > >= | when it was first seen and last changed; the run that first saw it |

~--code~, ~--state~, ~--severity~, ~--account~, ~--currency~, ~--assignee~, ~--order~, ~--payment~ and ~--min-age~
are each short for a comparison, and go into the same filter. What an operation that is cancelled has done stays done.
`

// TestDocs_ShowTheTaxonomyAndTheLife compares the documentation with what is printed from the tables.
func TestDocs_ShowTheTaxonomyAndTheLife(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/reference/breaks.md"
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(docsIntro, "~", "`") + "\n## Codes\n\nAny break can be accepted as it is, with a note; the last column says by what else a person may end it.\n\n" +
		"| code | meaning | what is done by default | at least | may be | a repost books it against |\n|---|---|---|---|---|---|\n")
	for _, k := range breaks.Taxonomy() {
		var ends []string
		for _, r := range k.Resolutions {
			ends = append(ends, r.String())
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", k.Code, k.Meaning, k.Action, k.Severity, strings.Join(ends, ", "), k.Against)
	}
	b.WriteString("\n## Life\n\nWhat a break is after each verb; where there is nothing, the verb is refused. " +
		"A break that a person has accepted, written off or reposted stays resolved when it is seen again.\n\n| verb |")
	for _, s := range breaks.States() {
		b.WriteString(" " + s.String() + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(breaks.States())) + "\n")
	for _, v := range breaks.Verbs() {
		fmt.Fprintf(&b, "| %s |", v)
		for _, s := range breaks.States() {
			to, ok := breaks.Next(s, breaks.Vanished, v)
			fmt.Fprintf(&b, " %s |", map[bool]string{true: to.String()}[ok])
		}
		b.WriteString("\n")
	}
	p := breaks.DefaultPolicy()
	b.WriteString("\n## Severity by default\n\n| from | medium | high | critical |\n|---|---|---|---|\n")
	for _, row := range []struct {
		name  string
		steps breaks.Steps
	}{{"minor units of any currency", p.SeverityOtherwise}, {"business days", p.SeverityByAge}} {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", row.name, row.steps.Medium, row.steps.High, row.steps.Critical)
	}
	fmt.Fprintf(&b, "\nWhat is more than %d minor units is written off or reposted only when a second person approves it.\n", p.WriteOffLimitMinor)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(committed), b.String()); diff != "" {
		t.Errorf("docs/reference/breaks.md is not what the tables say; run this test with -update (-committed +now):\n%s", diff)
	}
}
