package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

// letters is the dead letter service of a process that has so many: "a1", "a2" and so on.
type letters struct {
	deadletterv1.UnimplementedDeadLetterServiceServer
	process string
	n       int
}

func (l *letters) letter(i int) *deadletterv1.DeadLetter {
	return &deadletterv1.DeadLetter{DeadLetterId: fmt.Sprint(l.process, i)}
}

// ListDeadLetters gives a letter a page.
func (l *letters) ListDeadLetters(_ context.Context, r *deadletterv1.ListDeadLettersRequest) (*deadletterv1.ListDeadLettersResponse, error) {
	if r.GetFilter() != "state = open" {
		return nil, rpcerr.ForField(rpcerr.RequestInvalid, "filter", "got %q", r.GetFilter())
	}
	if l.n == 0 {
		return &deadletterv1.ListDeadLettersResponse{}, nil
	}
	i := 1
	if r.GetPageToken() != "" {
		if _, err := fmt.Sscan(r.GetPageToken(), &i); err != nil {
			return nil, err
		}
	}
	page := &deadletterv1.ListDeadLettersResponse{DeadLetters: []*deadletterv1.DeadLetter{l.letter(i)}}
	if i < l.n {
		page.NextPageToken = fmt.Sprint(i + 1)
	}
	return page, nil
}

func (l *letters) RedriveDeadLetter(_ context.Context, r *deadletterv1.RedriveDeadLetterRequest) (*deadletterv1.RedriveDeadLetterResponse, error) {
	switch {
	case !strings.HasPrefix(r.GetDeadLetterId(), l.process):
		return nil, rpcerr.ForField(rpcerr.NotFound, "dead_letter_id", "there is none")
	case r.GetReason() == "":
		return nil, rpcerr.New(rpcerr.DeadLetterNoConsumer, "nobody takes it")
	}
	return &deadletterv1.RedriveDeadLetterResponse{DeadLetter: &deadletterv1.DeadLetter{DeadLetterId: r.GetDeadLetterId(), Error: r.GetIdempotencyKey()}}, nil
}

// start serves it at an address of its own.
func (l *letters) start(t *testing.T) (addr string, stop func()) {
	t.Helper()
	server := grpc.NewServer()
	deadletterv1.RegisterDeadLetterServiceServer(server, l)
	return nettest.ServeGRPC(t, server), server.Stop
}

// setupLetters runs the gateway before three processes, of which the second one has no dead letters; stop stops the last one.
func setupLetters(t *testing.T) (at string, stop func()) {
	t.Helper()
	t.Parallel()
	cfg := DefaultConfig()
	cfg.OrchestratorAddr, _ = (&letters{process: "a", n: 3}).start(t)
	cfg.InventoryAddr, cfg.PaymentAddr = cfg.OrchestratorAddr, cfg.OrchestratorAddr // one process
	cfg.ShipmentAddr, _ = (&letters{process: "b"}).start(t)
	cfg.BillingAddr, stop = (&letters{process: "c", n: 2}).start(t)
	cfg.ReconciliationAddr = cfg.BillingAddr
	all := services(&orders{}, cfg)
	return "http://" + servicetest.StartWith(t, config(), all[1]).HTTPAddr() + "/v1/deadLetters", stop
}

func TestDeadLetters_AreListedOfAllProcesses(t *testing.T) {
	at, _ := setupLetters(t)
	var ids []string
	for token := ""; ; {
		answer := request(t, "GET", at+"?filter="+url.QueryEscape("state = open")+"&page_size=1&page_token="+url.QueryEscape(token), "")
		raw, err := io.ReadAll(answer.Body)
		page := &deadletterv1.ListDeadLettersResponse{}
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s, %v", answer.StatusCode, raw, err)
		}
		if err := protojson.Unmarshal(raw, page); err != nil {
			t.Fatal(err)
		}
		for _, l := range page.GetDeadLetters() {
			ids = append(ids, l.GetDeadLetterId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "a1 a2 a3 c1 c2" {
		t.Errorf("got %s", got)
	}
	for _, token := range []string{"!", "OS8", "LTEv", "eA"} { // no token, 9/, -1/, x
		if p := readProblem(t, request(t, "GET", at+"?page_token="+token, "")); p.reason() != string(rpcerr.RequestInvalid) {
			t.Errorf("the token %s: got %+v", token, p)
		}
	}
}

func TestDeadLetters_AreFoundWhereverTheyAre(t *testing.T) {
	at, stop := setupLetters(t)
	redrive := func(id, reason string) *http.Response {
		return request(t, "POST", at+"/"+id+":redrive", `{"reason":"`+reason+`"}`, "Idempotency-Key", "redrive-1")
	}
	for _, id := range []string{"a1", "c2"} {
		raw, err := io.ReadAll(redrive(id, "mended").Body)
		if err != nil || !strings.Contains(string(raw), `"`+id+`"`) || !strings.Contains(string(raw), "redrive-1") {
			t.Errorf("%s: got %s, %v", id, raw, err)
		}
	}
	for id, want := range map[string]rpcerr.Reason{"a1": rpcerr.DeadLetterNoConsumer, "c1": rpcerr.DeadLetterNoConsumer, "x1": rpcerr.NotFound} {
		if p := readProblem(t, redrive(id, "")); p.reason() != string(want) {
			t.Errorf("%s: got %+v, want %s", id, p, want)
		}
	}
	stop()
	if answer := redrive("x1", "mended"); answer.StatusCode == http.StatusNotFound {
		t.Error("it is said not to be there, though it may be where nobody answers")
	}
	if answer := redrive("a1", "mended"); answer.StatusCode != http.StatusOK {
		t.Errorf("got %d for one that is in another process", answer.StatusCode)
	}
}
