package fault

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/tieout/tieout/cmd/tieout/importing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	"github.com/tieout/tieout/cmd/tieout/uploading"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/test/systemtest"
)

// TestKill_ReconciliationWhileAFileComesIn kills the service with SIGKILL at three moments of an import, and starts it again. The
// client sends the file again by itself; the service goes on where it was, and what it has taken in is what an import that
// nothing disturbs takes in.
func TestKill_ReconciliationWhileAFileComesIn(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	const lines, kills = 200_000, 3
	content := payoutReport(lines)
	want := undisturbed(t, content)

	w := systemtest.NewWorld(t)
	split := w.Split(t)
	client := reconciliationv1.NewStatementServiceClient(split.Dial(t, "reconciliation"))
	if _, err := client.ListStatementFiles(t.Context(), &reconciliationv1.ListStatementFilesRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		answer *reconciliationv1.ImportStatementResponse
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		answer, err := importReport(t.Context(), client, content)
		ended <- outcome{answer, err}
	}()
	for i := range kills {
		awaitLines(t, w, (i+1)*lines/(kills+1))
		split.Kill(t, "reconciliation")
		split.Start(t, "reconciliation")
	}
	got := <-ended
	if got.err != nil {
		t.Fatal(got.err)
	}
	unsaid := protocmp.IgnoreFields(want, "file_id", "create_time", "decide_time", "imported_by", "repeats")
	if diff := cmp.Diff(want, got.answer.GetFile(), protocmp.Transform(), unsaid); diff != "" {
		t.Errorf("not what an undisturbed import takes in (-want +got):\n%s", diff)
	}
	w.CheckQuiet(t, split.DialAll(t)...)
}

// undisturbed is the file as it is taken in when nothing happens.
func undisturbed(t *testing.T, content []byte) *reconciliationv1.StatementFile {
	t.Helper()
	split := reconciliationAlone(t, systemtest.NewWorld(t))
	answer, err := importReport(t.Context(), reconciliationv1.NewStatementServiceClient(split.Dial(t, "reconciliation")), content)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetFile()
}

// reconciliationAlone starts the reconciliation service of a world, and none of the others.
func reconciliationAlone(t *testing.T, w *systemtest.World) *systemtest.Split {
	t.Helper()
	split := w.SplitOf(t, systemtest.Build(t), t.Output())
	split.Start(t, "reconciliation")
	t.Cleanup(func() { split.Kill(t, "reconciliation") })
	return split
}

// importReport imports a report as the command line does.
func importReport(ctx context.Context, client reconciliationv1.StatementServiceClient, content []byte) (*reconciliationv1.ImportStatementResponse, error) {
	file, err := uploading.Open(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	u := importing.Import(client, file, &reconciliationv1.StatementHeader{
		Name: "report.csv", Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_STRIPE,
	})
	u.Resender, u.Progress = resend.New(time.Minute), func(int64) {}
	answer, _, err := u.Run(ctx, file)
	return answer, err
}

// payoutReport is a report of Stripe with n charges, in payouts of 250.
func payoutReport(n int) []byte {
	var b bytes.Buffer
	b.WriteString("automatic_payout_id,balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category,source_id\n")
	for i := range n {
		fmt.Fprintf(&b, "po_%06d,txn_%08d,2026-01-03 10:00:00,2026-01-05 00:00:00,eur,10.00,0.30,9.70,charge,ch_%08d\n", i/250, i, i)
	}
	return b.Bytes()
}

// awaitLines waits until so many lines of the file are written.
func awaitLines(t *testing.T, w *systemtest.World, n int) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for written := 0; written < n; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
		if err := w.Pool["reconciliation"].QueryRow(t.Context(), `SELECT coalesce(max(lines), 0) FROM statement_file`).Scan(&written); err != nil {
			t.Fatal(err)
		}
	}
}
