package billing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestUpload_PlansWhatIsGoodAndRejectsTheRest(t *testing.T) {
	f := setup(t)
	b := f.plan("dues", "A-1,c-1,pm_ok,12.50,EUR,", "A-2,c-2,pm_ok,\"1,00\",EUR,", "A-1,c-3,pm_ok,3.00,EUR,", "A-4,c-3,pm_ok,10.5,JPY,",
		"A-5,c-3,pm_ok,1e3,EUR,", "A-6,c-3,pm_ok,-1.00,EUR,", "A-7,c-3,pm_ok,7.00", "A-8,c-\xff,pm_ok,7.00,EUR,", "A-9,c-9,pm_ok,0.50,USD,", ",c-9,pm_ok,0.50,USD,")
	plan := b.GetPlan()
	if plan.GetItems() != 2 || plan.GetRejected() != 8 || len(plan.GetHash()) != 64 {
		t.Errorf("plan: %v", plan)
	}
	if diff := cmp.Diff([]*billingv1.Sum{sumOf(1, 1250, "EUR"), sumOf(1, 50, "USD")}, plan.GetSums(), protocmp.Transform()); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	got := f.rejections(b)
	want := []string{
		"3 amount AMOUNT_MALFORMED", "4 reference REFERENCE_DUPLICATE", "5 amount AMOUNT_TOO_PRECISE", "6 amount AMOUNT_MALFORMED",
		"7 amount AMOUNT_NOT_POSITIVE", "8  COLUMN_COUNT_WRONG", "9 customer_id NOT_UTF8", "11 reference FIELD_MISSING",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	f.wantClean()
}

// rejections lists them, two to a page.
func (f *fixture) rejections(b *billingv1.Batch) []string {
	f.Helper()
	var all []string
	for token := ""; ; {
		page, err := f.batches.ListBatchRejections(f.Context(), &billingv1.ListBatchRejectionsRequest{BatchId: b.GetBatchId(), PageSize: 2, PageToken: token})
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range page.GetRejections() {
			all = append(all, fmt.Sprintf("%d %s %s", r.GetLine(), r.GetField(), r.GetReason()))
		}
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

func TestUpload_ReadsJSONLinesAndOtherHeadings(t *testing.T) {
	f := setup(t)
	lines := `{"reference":"A-1","customer_id":"c-1","payment_method":"pm_ok","amount":"12.50","currency":"EUR","card_scheme":"visa"}` + "\n"
	b, err := f.upload("upload-jsonl", &billingv1.BatchHeader{Name: "jsonl"}, lines)
	if err != nil || b.GetPlan().GetItems() != 1 || f.items(b)[0].GetCardScheme() != "visa" {
		t.Errorf("JSON Lines: got %v, %v", b, err)
	}
	h := &billingv1.BatchHeader{Name: "mapped", Columns: map[string]string{"reference": "Invoice, No", "currency": "EUR", "payment_method": "pm_ok"}}
	b, err = f.upload("upload-mapped", h, "\"Invoice, No\",customer_id,amount\nB-1,c-1,3.00\n")
	if err != nil || b.GetPlan().GetItems() != 1 || f.items(b)[0].GetReference() != "B-1" {
		t.Errorf("mapped: got %v, %v", b, err)
	}
}

func TestUpload_OfTheSameFileIsOneBatchOrARefusalThatNamesIt(t *testing.T) {
	f := setup(t)
	row := "A-1,c-1,pm_ok,12.50,EUR,"
	first := f.plan("dues", row)
	if again := f.plan("dues", row); again.GetBatchId() != first.GetBatchId() {
		t.Errorf("the same upload under its key: got %s, want %s", again.GetBatchId(), first.GetBatchId())
	}
	_, err := f.upload("upload-dues", &billingv1.BatchHeader{Name: "dues"}, heading+"A-1,c-1,pm_ok,99.00,EUR,\n")
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "chunk")
	_, err = f.upload("upload-other", &billingv1.BatchHeader{Name: "other"}, heading+row+"\n")
	if refusal := rpcerrtest.Want(t, err, rpcerr.BatchDuplicate); refusal.Resource != first.GetBatchId() {
		t.Errorf("the refusal names %q, want %s", refusal.Resource, first.GetBatchId())
	}
	repeat, err := f.upload("upload-repeat", &billingv1.BatchHeader{Name: "repeat", RepeatsBatchId: first.GetBatchId()}, heading+row+"\n")
	if err != nil || repeat.GetPlan().GetDuplicates() != 1 {
		t.Errorf("repeated on purpose: got %v, %v; want one duplicate in the plan", repeat, err)
	}
	_, err = f.batches.StartBatch(t.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-0001", BatchId: repeat.GetBatchId()})
	rpcerrtest.Want(t, err, rpcerr.BatchHasDuplicates)
	listed, err := f.batches.ListBatchDuplicates(t.Context(), &billingv1.ListBatchDuplicatesRequest{BatchId: repeat.GetBatchId()})
	if d := listed.GetDuplicates(); err != nil || len(d) != 1 || d[0].GetEarlierBatchId() != first.GetBatchId() || d[0].GetReference() != "A-1" {
		t.Errorf("duplicates: got %v, %v", listed, err)
	}
	f.wantRows(2)
}

// wantRows waits until nothing but the items of so many batches of one item is left.
func (f *fixture) wantRows(n int64) {
	f.Helper()
	waittest.Until(f.T, fmt.Sprintf("%d batches with an item each are left", n), func() bool {
		rows := pgtest.Column[int64](f.T, f.db, `SELECT count(*) FROM batch UNION ALL SELECT count(*) FROM batch_item`)
		return rows[0] == n && rows[1] == n
	})
}

func TestUpload_RacingUploadsMakeOneBatch(t *testing.T) {
	f := setup(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	planned, refused := map[string]bool{}, map[string]bool{}
	for i := range 8 {
		all.Go(func() {
			b, err := f.upload(fmt.Sprintf("upload-%04d", i), &billingv1.BatchHeader{Name: "dues"}, heading+"A-1,c-1,pm_ok,12.50,EUR,\n")
			mu.Lock()
			defer mu.Unlock()
			if e, ok := rpcerr.FromError(err); ok && e.Reason == rpcerr.BatchDuplicate {
				refused[e.Resource] = true
			} else if err != nil {
				t.Error(err)
			} else {
				planned[b.GetBatchId()] = true
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(planned, refused); diff != "" || len(planned) != 1 {
		t.Errorf("planned %v, and refused naming %v; want one batch, and that", planned, refused)
	}
	f.wantRows(1)
}

func TestUpload_ThatBreaksOffLeavesNothing(t *testing.T) {
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := f.batches.UploadBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *billingv1.UploadBatchRequest) {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	send(&billingv1.UploadBatchRequest{IdempotencyKey: "upload-0001", Part: &billingv1.UploadBatchRequest_Header{Header: &billingv1.BatchHeader{Name: "dues"}}})
	var rows strings.Builder
	rows.WriteString(heading)
	for i := range 2 * uploadPiece {
		fmt.Fprintf(&rows, "A-%d,c-1,pm_ok,1.00,EUR,\n", i)
	}
	send(&billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: []byte(rows.String())}})
	waittest.Until(t, "items are there", func() bool { return pgtest.Column[int64](t, f.db, `SELECT count(*) FROM batch_item`)[0] > 0 })
	if list, err := f.batches.ListBatches(t.Context(), &billingv1.ListBatchesRequest{}); err != nil || len(list.GetBatches()) != 0 {
		t.Errorf("an upload is listed: %v, %v", list, err)
	}
	cancel()
	f.wantRows(0)
}

// An upload whose process died is removed when its lease is over.
func TestUpload_OfADeadProcessIsSwept(t *testing.T) {
	f := setup(t)
	st := newStore(f.db)
	_, err := f.db.Exec(t.Context(), `
WITH b AS (INSERT INTO batch (id, state, name, series, header, provider_account, created_by, lease_until)
           VALUES (gen_random_uuid(), 0, 'dead', '', '{}', 'default', 'payer', now() - interval '1 second'),
                  (gen_random_uuid(), 0, 'alive', '', '{}', 'default', 'payer', now() + interval '1 hour') RETURNING id)
INSERT INTO batch_item (batch_id, line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme)
SELECT id, 2, 'A-1', 'c-1', 'pm_ok', 'EUR', 1, '', '' FROM b`)
	if err != nil {
		t.Fatal(err)
	}
	for again := true; again; {
		if again, err = f.billing.sweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.wantRows(1)
	if _, err := st.q.ListLeftUploads(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUpload_TellsTheVarianceAgainstTheLastOfItsSeries(t *testing.T) {
	f := setup(t)
	up := func(name string, rows ...string) *billingv1.Batch {
		b, err := f.upload("upload-"+name, &billingv1.BatchHeader{Name: name, Series: "dues"}, heading+strings.Join(rows, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := up("october", "O-1,c-1,pm_ok,10.00,EUR,", "O-2,c-2,pm_ok,5.00,EUR,", "O-3,c-3,pm_ok,1.00,USD,")
	if first.GetPlan().GetVariance() != nil {
		t.Errorf("the first one has a variance: %v", first.GetPlan().GetVariance())
	}
	second := up("november", "N-1,c-1,pm_ok,12.00,EUR,", "N-4,c-4,pm_ok,1.00,JPY,")
	want := &billingv1.Variance{
		BatchId: first.GetBatchId(), Items: -1, CustomersNew: 1, CustomersGone: 2,
		Sums: []*billingv1.Sum{sumOf(-1, -300, "EUR"), sumOf(-1, -100, "USD")},
	}
	if second.GetPlan().GetItems() != 1 || len(f.rejections(second)) != 1 {
		t.Fatalf("JPY has no decimals: got %v", second.GetPlan())
	}
	want.CustomersNew, want.Items, want.Sums = 0, -2, []*billingv1.Sum{sumOf(-1, -300, "EUR"), sumOf(-1, -100, "USD")}
	if diff := cmp.Diff(want, second.GetPlan().GetVariance(), protocmp.Transform()); diff != "" {
		t.Errorf("variance (-want +got):\n%s", diff)
	}
}

func TestUpload_RefusesWhatIsNoFileOfPayments(t *testing.T) {
	f := setup(t)
	header := func(change func(*billingv1.BatchHeader)) *billingv1.BatchHeader {
		h := &billingv1.BatchHeader{Name: "dues"}
		if change != nil {
			change(h)
		}
		return h
	}
	for name, test := range map[string]struct {
		header *billingv1.BatchHeader
		file   string
		reason rpcerr.Reason
		field  string
	}{
		"no file":           {header(nil), "", rpcerr.FileMalformed, "chunk"},
		"a missing column":  {header(nil), "reference,customer_id,payment_method,amount\n", rpcerr.FileMalformed, "chunk"},
		"a column twice":    {header(nil), "amount," + heading, rpcerr.FileMalformed, "chunk"},
		"an unknown column": {header(func(h *billingv1.BatchHeader) { h.Columns = map[string]string{"sum": "X"} }), heading, rpcerr.RequestInvalid, "header.columns"},
		"a cut-off that has passed": {header(func(h *billingv1.BatchHeader) { h.CutOffTime = timestamppb.New(time.Now().Add(-time.Minute)) }),
			heading, rpcerr.RequestInvalid, "header.cut_off_time"},
		"no id of a batch": {header(func(h *billingv1.BatchHeader) { h.RepeatsBatchId = "x" }), heading, rpcerr.RequestInvalid, "header.repeats_batch_id"},
		"no name":          {&billingv1.BatchHeader{}, heading, rpcerr.RequestInvalid, "header.name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.upload("upload-"+strings.ReplaceAll(name, " ", "-"), test.header, test.file)
			rpcerrtest.Want(t, err, test.reason, test.field)
		})
	}
	stream, err := f.batches.UploadBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&billingv1.UploadBatchRequest{IdempotencyKey: "upload-headless", Part: &billingv1.UploadBatchRequest_Chunk{Chunk: []byte(heading)}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "header")
	_, err = f.upload("", header(nil), heading)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyMissing, "idempotency_key")
	f.wantRows(0)
}
