package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/grpc"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// batches is the batch service as a test wants it.
type batches struct {
	billingv1.UnimplementedBatchServiceServer
	upload func(grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error
	watch  func(*billingv1.WatchBatchRequest, grpc.ServerStreamingServer[billingv1.WatchBatchResponse]) error
}

func (b *batches) UploadBatch(s grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
	return b.upload(s)
}

func (b *batches) WatchBatch(r *billingv1.WatchBatchRequest, s grpc.ServerStreamingServer[billingv1.WatchBatchResponse]) error {
	return b.watch(r, s)
}

// before are the services with b as billing.
func (b *batches) before(cfg Config) []service.Service {
	all := services(&orders{}, cfg)
	for i := range all {
		if all[i].Name == "billing" {
			all[i].Run = func(_ context.Context, env *service.Env) error {
				billingv1.RegisterBatchServiceServer(env.GRPC, b)
				return nil
			}
		}
	}
	return all
}

// setupBatches runs the gateway before a batch service, and gives its URL.
func setupBatches(t *testing.T, b *batches) string {
	t.Helper()
	t.Parallel()
	return "http://" + servicetest.StartWith(t, config(), b.before(DefaultConfig())...).HTTPAddr() + "/v1/batches"
}

const fileParameters = "?header.name=dues&header.format=FILE_FORMAT_CSV&header.columns[amount]=Betrag&header.cut_off_time=2030-01-01T00:00:00Z"

func TestUpload_PassesAFileOnAsItIs(t *testing.T) {
	file := bytes.Repeat([]byte("m-1,pm_ok,12.50,GBP\n"), 3*maxBody/20) // more than a request may have else
	url := setupBatches(t, &batches{upload: func(s grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
		first, body, err := rpc.OpenUpload[billingv1.BatchHeader](s)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		h := first.GetHeader()
		if !bytes.Equal(got, file) || first.GetIdempotencyKey() != "file-0001" || rpc.Caller(s.Context()) != "dues" || h.GetName() != "dues" ||
			h.GetFormat() != billingv1.FileFormat_FILE_FORMAT_CSV || h.GetColumns()["amount"] != "Betrag" || h.GetCutOffTime().GetSeconds() != 1893456000 {
			t.Errorf("got %d bytes under %s of %s: %v", len(got), first.GetIdempotencyKey(), rpc.Caller(s.Context()), h)
		}
		idem.MarkReplayed(s.Context())
		return s.SendAndClose(&billingv1.UploadBatchResponse{Batch: &billingv1.Batch{BatchId: "bat_1"}})
	}})
	answer := request(t, "POST", url+fileParameters, string(file), "Idempotency-Key", "file-0001", "Tieout-Caller", "dues", "Content-Type", "text/csv")
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(raw), `"batch_id":"bat_1"`) || answer.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %d %v %.200s, %v", answer.StatusCode, answer.Header, raw, err)
	}
}

// cutOff is a body that ends before it is all there.
type cutOff struct{ io.Reader }

func (c cutOff) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrClosedPipe
	}
	return n, err
}

// A file that is cut off must not be one that ends there.
func TestUpload_OfAFileThatIsCutOffIsGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	url := setupBatches(t, &batches{upload: func(s grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
		_, body, err := rpc.OpenUpload[billingv1.BatchHeader](s)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		ended <- err
		return err
	}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+fileParameters, cutOff{strings.NewReader("reference,amount\nm-1,12")})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "file-0001")
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
	}
	if err := <-ended; err == nil {
		t.Error("the server took it for a whole file")
	}
}

func TestUpload_SaysWhyAFileIsNotTaken(t *testing.T) {
	url := setupBatches(t, &batches{upload: func(s grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
		if _, _, err := rpc.OpenUpload[billingv1.BatchHeader](s); err != nil {
			return err
		}
		return rpcerr.New(rpcerr.BatchDuplicate, "it is in bat_1")
	}})
	for name, test := range map[string]struct {
		parameters string
		headers    []string
		status     int
		reason     rpcerr.Reason
	}{
		"in a batch already": {fileParameters, []string{"Idempotency-Key", "file-0001"}, http.StatusConflict, rpcerr.BatchDuplicate},
		"no key":             {fileParameters, nil, http.StatusBadRequest, rpcerr.IdempotencyKeyMissing},
		"no name":            {"", []string{"Idempotency-Key", "file-0001"}, http.StatusBadRequest, rpcerr.RequestInvalid},
		"unknown parameter":  {"?nme=dues", nil, http.StatusBadRequest, rpcerr.RequestMalformed},
		"unknown format":     {"?header.format=XLS", nil, http.StatusBadRequest, rpcerr.RequestMalformed},
		"a piece in words":   {"?chunk=eA==", nil, http.StatusBadRequest, rpcerr.RequestMalformed},
		"two keys":           {"?idempotency_key=file-0002", []string{"Idempotency-Key", "file-0001"}, http.StatusBadRequest, rpcerr.RequestInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			answer := request(t, "POST", url+test.parameters, "reference,amount\n", test.headers...)
			if p := readProblem(t, answer); answer.StatusCode != test.status || p.reason() != string(test.reason) {
				t.Errorf("got %d %+v, want %d %s", answer.StatusCode, p, test.status, test.reason)
			}
		})
	}
}

// A client that says nothing more does not keep the process from stopping.
func TestUpload_EndsWithTheProcess(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	b := &batches{upload: func(s grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
		_, body, err := rpc.OpenUpload[billingv1.BatchHeader](s)
		if err == nil {
			close(begun)
			_, err = io.Copy(io.Discard, body)
		}
		return err
	}}
	p, err := service.Start(t.Context(), config(), t.Output(), b.before(DefaultConfig())...)
	if err != nil {
		t.Fatal(err)
	}
	body, more := io.Pipe()
	defer more.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.HTTPAddr()+"/v1/batches"+fileParameters, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "file-0001")
	told := make(chan string, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			told <- err.Error()
			return
		}
		defer answer.Body.Close()
		raw, _ := io.ReadAll(answer.Body)
		told <- string(raw)
	}()
	<-begun
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	_ = more.Close() // who waits for more to send does not hear that the connection has ended
	if got := <-told; !strings.Contains(got, string(rpcerr.ShuttingDown)) {
		t.Errorf("told %s", got)
	}
}

func stands(state billingv1.BatchState, note string) *billingv1.WatchBatchResponse {
	return &billingv1.WatchBatchResponse{Batch: &billingv1.Batch{BatchId: "bat_1", State: state, Note: note}}
}

// tellingBatch sends a batch as it stands at several moments, and ends.
func tellingBatch(answers ...*billingv1.WatchBatchResponse) *batches {
	return &batches{watch: func(_ *billingv1.WatchBatchRequest, s grpc.ServerStreamingServer[billingv1.WatchBatchResponse]) error {
		for _, a := range answers {
			if err := s.Send(a); err != nil {
				return err
			}
		}
		return nil
	}}
}

const (
	paused   = billingv1.BatchState_BATCH_STATE_PAUSED
	finished = billingv1.BatchState_BATCH_STATE_FINISHED
)

// What is told again is a heartbeat, and who has seen the end is told nothing more.
func TestWatchBatch_TellsEachStateOnce(t *testing.T) {
	url := setupBatches(t, tellingBatch(stands(paused, "lunch"), stands(paused, "lunch"), stands(finished, ""))) + "/bat_1/watch"
	next := readEvents(request(t, "GET", url, "").Body)
	cursors := map[string]string{} // by what was told
	for _, want := range []event{
		{other: "retry: 2000"}, {name: "batch", data: "BATCH_STATE_PAUSED"}, {other: ":heartbeat"}, {name: "batch", data: "BATCH_STATE_FINISHED"}, {name: "end", data: "{}"},
	} {
		got, err := next()
		if err != nil || got.name != want.name || got.other != want.other || !strings.Contains(got.data, want.data) || (got.id == "") == (got.name == "batch") {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		cursors[want.data] = got.id
	}
	for cursor, want := range map[string][]event{
		cursors["BATCH_STATE_PAUSED"]: {{other: "retry: 2000"}, {other: ":heartbeat"}, {other: ":heartbeat"}, {name: "batch"}, {name: "end"}},
		"of another replica":          {{other: "retry: 2000"}, {name: "batch"}, {other: ":heartbeat"}, {name: "batch"}, {name: "end"}},
	} {
		next := readEvents(request(t, "GET", url, "", "Last-Event-ID", cursor).Body)
		for _, want := range want {
			if got, err := next(); err != nil || got.name != want.name || got.other != want.other {
				t.Errorf("behind %q: got %+v, %v, want %+v", cursor, got, err, want)
			}
		}
	}
}

func TestWatchBatch_TellsABrowserNotToComeBack(t *testing.T) {
	url := setupBatches(t, tellingBatch(stands(finished, ""))) + "/bat_1/watch"
	conn, _, err := dialSocket(t, url)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMessage(t, conn)
	if err != nil {
		t.Fatal(err)
	}
	wantClose(t, conn, websocket.StatusNormalClosure, "ended")
	if answer := request(t, "GET", url, "", "Last-Event-ID", cursorOf(t, url)); answer.StatusCode != http.StatusNoContent || m.Error != nil {
		t.Errorf("got %d, want 204", answer.StatusCode)
	}
}

// cursorOf is the cursor of the first event of a watch.
func cursorOf(t *testing.T, url string) string {
	t.Helper()
	next := readEvents(request(t, "GET", url, "").Body)
	for e, err := next(); ; e, err = next() {
		if err != nil || e.id != "" {
			return e.id
		}
	}
}
