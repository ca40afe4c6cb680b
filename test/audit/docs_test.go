package audit

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/cmd/tieout/auditing"
	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
)

var update = flag.Bool("update", false, "write the documentation from the running system instead of comparing the two")

const (
	documentation = "../../docs/reference/invariants.md"
	tableHead     = "| number | check | service | holds | what |\n|---|---|---|---|---|\n"
)

func TestChecks_AreDocumented(t *testing.T) {
	f := setup(t)
	var checks []*auditv1.Check
	sources := auditing.Sources{Conns: []*grpc.ClientConn{f.conn}, ProviderURL: f.world.PSP.URL()}
	err := auditing.Run(t.Context(), sources, func(c *auditv1.Check) error { checks = append(checks, c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, _ := strings.Cut(string(page), tableHead)
	want := prose + tableHead + table(checks)
	if *update {
		if err := os.WriteFile(documentation, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want, string(page)); diff != "" {
		t.Errorf("docs/reference/invariants.md is not what `go test ./test/audit -update` prints (-want +got):\n%s", diff)
	}
}

// table has a line for each check; one that several services have stands once.
func table(checks []*auditv1.Check) string {
	slices.SortStableFunc(checks, func(a, b *auditv1.Check) int {
		return cmp.Or(cmp.Compare(a.GetNumber(), b.GetNumber()), cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetService(), b.GetService()))
	})
	var b strings.Builder
	for i := 0; i < len(checks); {
		c, services := checks[i], []string{}
		for ; i < len(checks) && checks[i].GetNumber() == c.GetNumber() && checks[i].GetName() == c.GetName(); i++ {
			services = append(services, checks[i].GetService())
		}
		holds := strings.ToLower(strings.TrimPrefix(c.GetKind().String(), "CHECK_KIND_"))
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", c.GetNumber(), c.GetName(), strings.Join(services, ", "), holds, c.GetStatement())
	}
	return b.String()
}
