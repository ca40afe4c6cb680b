package reconciliation

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// Whatever lines reports share, and however often each has them: a line is there as often as the report has it that has it most
// often, and what is paid out is the net of what is there.
func TestImport_OfReportsThatShareLinesTakesInEachOnce(t *testing.T) {
	f := setupImports(t)
	f.reconciliation.pieceRows = 3
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		account, want := fmt.Sprint("account ", round), map[string]int64{}
		for n := range rapid.IntRange(1, 4).Draw(t, "files") {
			ids := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 0, 14).Draw(t, "lines")
			lines, has := make([]*formats.Line, len(ids)), map[string]int64{}
			for i, id := range ids {
				lines[i] = charge(id, "po_"+id)
				has[id]++
				want[id] = max(want[id], has[id])
			}
			// A line of its own makes each file another content.
			lines = append(lines, charge(fmt.Sprint(account, n), ""))
			h := header{name: "report", reading: reading{Account: account, Format: formats.Stripe}}
			taken, _, err := f.reconciliation.importFile(f.Context(), request{"ann", fmt.Sprintf("import-%06d-%d", round, n)}, h, bytes.NewReader(reportOf(lines...)))
			if err != nil || taken.state != fileAccepted || taken.movements+taken.overlapping != taken.lines {
				t.Fatalf("importing %v: %+v, %v", ids, taken, err)
			}
		}
		type row struct {
			ID              string
			Movements, Paid int64
		}
		got := map[string]int64{}
		for _, r := range pgtest.Rows[row](f.T, f.db, `
SELECT substring(m.payout_id FROM 4), count(*) FILTER (WHERE NOT m.ours), coalesce(sum(m.amount_minor) FILTER (WHERE m.ours), 0)::bigint
  FROM movement m JOIN partition p ON p.id = m.partition_id AND p.account = $1 WHERE m.payout_id <> '' GROUP BY m.payout_id`, account) {
			got[r.ID] = r.Movements
			if r.Paid != r.Movements*970 {
				t.Errorf("%d lines of %s, and %d are paid out", r.Movements, r.ID, r.Paid)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
	f.wantClean()
}
