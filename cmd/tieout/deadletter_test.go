package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// letterDesk answers as a process does that has one dead letter, and keeps what it was asked and by whom.
type letterDesk struct {
	deadletterv1.UnimplementedDeadLetterServiceServer
	addr    string
	outcome deadletterv1.DeadLetterOutcome

	mu     sync.Mutex
	letter *deadletterv1.DeadLetter
	op     *deadletterv1.DeadLetterOperation
	asked  []proto.Message
	by     []string
}

func newLetterDesk(t *testing.T, service, id string) *letterDesk {
	t.Helper()
	d := &letterDesk{
		outcome: deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_EFFECT,
		letter: &deadletterv1.DeadLetter{
			DeadLetterId: id, Service: service, Consumer: service + "-takings", State: deadletterv1.DeadLetterState_DEAD_LETTER_STATE_OPEN,
			Subject: "evt.a.b.c.d", Attempts: 5, Error: "the books are closed\nand a stack", Payload: []byte{0, 1}, CreateTime: timestamppb.Now(),
			Headers: []*deadletterv1.DeadLetterHeader{{Name: "ce-id", Value: "7"}},
			Actions: []*deadletterv1.DeadLetterAction{{Actor: "grace", Verb: deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_REDRIVE, Reason: "hope"}},
		},
	}
	s := grpc.NewServer()
	deadletterv1.RegisterDeadLetterServiceServer(s, d)
	d.addr = nettest.ServeGRPC(t, s)
	return d
}

// tieout runs a command against the desks.
func onLetters(t *testing.T, line string, desks ...*letterDesk) (code int, stdout, stderr string) {
	t.Helper()
	var addrs []string
	for _, d := range desks {
		addrs = append(addrs, d.addr)
	}
	return call(t, []string{envAddr + "=" + strings.Join(addrs, ",")}, append([]string{"deadletter"}, strings.Fields(line)...)...)
}

func (d *letterDesk) note(ctx context.Context, m proto.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.by = append(d.asked, m), append(d.by, rpc.Caller(ctx))
}

// ListDeadLetters implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) ListDeadLetters(ctx context.Context, r *deadletterv1.ListDeadLettersRequest) (*deadletterv1.ListDeadLettersResponse, error) {
	d.note(ctx, r)
	return &deadletterv1.ListDeadLettersResponse{DeadLetters: []*deadletterv1.DeadLetter{d.letter}}, nil
}

// GetDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) GetDeadLetter(_ context.Context, r *deadletterv1.GetDeadLetterRequest) (*deadletterv1.GetDeadLetterResponse, error) {
	if r.GetDeadLetterId() != d.letter.GetDeadLetterId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "dead_letter_id", "there is none")
	}
	return &deadletterv1.GetDeadLetterResponse{DeadLetter: d.letter}, nil
}

// RedriveDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) RedriveDeadLetter(ctx context.Context, r *deadletterv1.RedriveDeadLetterRequest) (*deadletterv1.RedriveDeadLetterResponse, error) {
	d.note(ctx, r)
	return &deadletterv1.RedriveDeadLetterResponse{DeadLetter: d.letter, Outcome: d.outcome}, nil
}

// DiscardDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) DiscardDeadLetter(ctx context.Context, r *deadletterv1.DiscardDeadLetterRequest) (*deadletterv1.DiscardDeadLetterResponse, error) {
	d.note(ctx, r)
	return nil, rpcerr.New(rpcerr.DeadLetterEnded, "it is redriven")
}

// PlanDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) PlanDeadLetterOperation(ctx context.Context, r *deadletterv1.PlanDeadLetterOperationRequest) (*deadletterv1.PlanDeadLetterOperationResponse, error) {
	d.note(ctx, r)
	if strings.Contains(r.GetFilter(), "nothing") {
		return &deadletterv1.PlanDeadLetterOperationResponse{}, nil
	}
	d.op = &deadletterv1.DeadLetterOperation{
		OperationId: "dlo_" + d.letter.GetService(), Service: d.letter.GetService(), Verb: r.GetVerb(), Filter: r.GetFilter(), Reason: r.GetReason(), Matched: 2,
		State:     deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_PLANNED,
		Consumers: []*deadletterv1.DeadLetterCount{{Consumer: d.letter.GetConsumer(), Count: 2}},
	}
	return &deadletterv1.PlanDeadLetterOperationResponse{Operations: []*deadletterv1.DeadLetterOperation{d.op}}, nil
}

// ApplyDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) ApplyDeadLetterOperation(ctx context.Context, r *deadletterv1.ApplyDeadLetterOperationRequest) (*deadletterv1.ApplyDeadLetterOperationResponse, error) {
	d.note(ctx, r)
	return &deadletterv1.ApplyDeadLetterOperationResponse{Operation: d.op}, nil
}

// GetDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (d *letterDesk) GetDeadLetterOperation(_ context.Context, r *deadletterv1.GetDeadLetterOperationRequest) (*deadletterv1.GetDeadLetterOperationResponse, error) {
	if r.GetOperationId() != d.op.GetOperationId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is none")
	}
	ended := proto.CloneOf(d.op)
	ended.Done, ended.Refused, ended.EndTime = 1, 1, timestamppb.Now()
	ended.State = deadletterv1.DeadLetterOperationState_DEAD_LETTER_OPERATION_STATE_FINISHED
	ended.Refusals = []*deadletterv1.DeadLetterRefusal{{DeadLetterId: "dlt_9", Reason: "failed again"}}
	return &deadletterv1.GetDeadLetterOperationResponse{Operation: ended}, nil
}

func TestDeadLetter_DecisionIsAPlanUntilYes(t *testing.T) {
	t.Parallel()
	books, shop := newLetterDesk(t, "books", "dlt_1"), newLetterDesk(t, "shop", "dlt_2")
	code, stdout, stderr := onLetters(t, "redrive dlt_2 --reason x -o json", books, shop)
	if code != exitOK || len(shop.asked) != 0 || !strings.Contains(stderr, "nothing was done") || !json.Valid([]byte(stdout)) {
		t.Errorf("plan: exit %d, asked %v, %s%s", code, shop.asked, stdout, stderr)
	}
	for range 2 { // the same command at the same state is the same request
		if code, _, stderr = onLetters(t, "redrive dlt_2 --reason x --yes --as ann", books, shop); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	if len(books.asked) > 0 || len(shop.asked) != 2 || !proto.Equal(shop.asked[0], shop.asked[1]) || shop.by[0] != "ann" {
		t.Errorf("asked %v and %v, by %v", books.asked, shop.asked, shop.by)
	}
	if code, _, stderr = onLetters(t, "discard dlt_1 --reason x --yes", books); code != exitPrecondition || !strings.Contains(stderr, "DEAD_LETTER_ENDED") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code, _, stderr = onLetters(t, "redrive dlt_1 dlt_9 --reason x --yes", books, shop); code != exitPartial || !strings.Contains(stderr, "dlt_9 was left as it is") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestDeadLetter_SaysWhatCameOfARedrive(t *testing.T) {
	t.Parallel()
	books := newLetterDesk(t, "books", "dlt_1")
	for outcome, want := range map[deadletterv1.DeadLetterOutcome]struct {
		code int
		note string
	}{
		deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_EFFECT:        {exitOK, ""},
		deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_NOTHING_TO_DO: {exitOK, "dlt_1: nothing was left to do\n"},
		deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_FAILED:        {exitPrecondition, "dlt_1 failed again: the books are closed\n"},
	} {
		books.outcome = outcome
		if code, _, stderr := onLetters(t, "redrive dlt_1 --reason x --yes", books); code != want.code || stderr != want.note {
			t.Errorf("%s: exit %d, %q", outcome, code, stderr)
		}
	}
}

func TestDeadLetter_FilterIsAnOperationOfEachService(t *testing.T) {
	t.Parallel()
	books, shop := newLetterDesk(t, "books", "dlt_1"), newLetterDesk(t, "shop", "dlt_2")
	code, stdout, stderr := onLetters(t, "discard --filter age>1 --reason x", books, shop)
	if code != exitOK || !strings.Contains(stderr, "deadletter operation apply dlo_books --yes") || !strings.Contains(stderr, "dlo_shop --yes") ||
		!strings.Contains(stdout, "books-takings 2") || len(books.asked) != 1 {
		t.Errorf("plan: exit %d, asked %v, %s%s", code, books.asked, stdout, stderr)
	}
	plan := books.asked[0].(*deadletterv1.PlanDeadLetterOperationRequest)
	if plan.GetFilter() != "age>1" || plan.GetVerb() != deadletterv1.DeadLetterVerb_DEAD_LETTER_VERB_DISCARD || plan.GetReason() != "x" {
		t.Errorf("asked %v", plan)
	}
	code, stdout, stderr = onLetters(t, "redrive --filter age>1 --reason x --yes", books, shop)
	if code != exitPartial || len(books.asked) != 3 || len(shop.asked) != 3 || !strings.Contains(stderr, "2 were left as they are") || strings.Count(stdout, "finished") != 2 {
		t.Errorf("exit %d, asked %v, %s%s", code, books.asked, stdout, stderr)
	}
	code, stdout, _ = onLetters(t, "operation apply dlo_shop --yes", books, shop)
	if code != exitPartial || !strings.Contains(stdout, "dlt_9") || len(shop.asked) != 4 {
		t.Errorf("exit %d, asked %v, %s", code, shop.asked, stdout)
	}
	if code, _, stderr = onLetters(t, "operation get dlo_9", books, shop); code != exitNotFound {
		t.Errorf("exit %d, %s", code, stderr)
	}
	code, stdout, stderr = onLetters(t, "redrive --filter nothing --reason x --yes -o json", books)
	if code != exitOK || !json.Valid([]byte(stdout)) || !strings.Contains(stderr, "finds no dead letter") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}

func TestDeadLetter_ListsWhatIsOpenOnAllServers(t *testing.T) {
	t.Parallel()
	books, shop := newLetterDesk(t, "books", "dlt_1"), newLetterDesk(t, "shop", "dlt_2")
	for line, filter := range map[string]string{
		"list": "state = open", "list --filter age>1": "age>1 AND state = open", "list --all": "", "list --all --filter age>1": "age>1",
	} {
		books.asked = nil
		code, stdout, stderr := onLetters(t, line, books, shop)
		if code != exitOK || !strings.Contains(stdout, "dlt_1") || !strings.Contains(stdout, "dlt_2") || strings.Contains(stdout, "stack") || stderr != "" {
			t.Errorf("%s: exit %d, %s%s", line, code, stdout, stderr)
		}
		if got := books.asked[0].(*deadletterv1.ListDeadLettersRequest).GetFilter(); got != filter {
			t.Errorf("%s: asked for %q, want %q", line, got, filter)
		}
	}
	if code, stdout, stderr := onLetters(t, "list --limit 1", books, shop); code != exitOK || strings.Contains(stdout, "dlt_2") || !strings.Contains(stderr, "the first 1") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	for _, line := range []string{"list", "get dlt_2"} {
		for _, format := range []string{"table", "json", "jsonl", "yaml", "csv"} {
			code, stdout, stderr := onLetters(t, line+" -o "+format, books, shop)
			if code != exitOK || !strings.Contains(stdout, "the books are closed") || stderr != "" {
				t.Errorf("%s -o %s: exit %d, %s%s", line, format, code, stdout, stderr)
			}
		}
	}
	_, stdout, _ := onLetters(t, "get dlt_2", books, shop)
	for _, want := range []string{"base64 AAE=", "ce-id", "grace", "hope"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("get does not show %q:\n%s", want, stdout)
		}
	}
}

func TestDeadLetter_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"":                                    "needs a command",
		"redrive dlt_1":                       "needs --reason",
		"redrive --reason x":                  "say which dead letters",
		"discard dlt_1 --filter x --reason x": "say which dead letters",
		"list --limit -1":                     "is less than zero",
		"list --addr a:1,,b:1":                "names an empty address",
	} {
		code, stdout, stderr := call(t, []string{envAddr + "=127.0.0.1:1"}, append([]string{"deadletter"}, strings.Fields(line)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, text) {
			t.Errorf("tieout deadletter %s: exit %d, want %d with %q; stdout %q, stderr:\n%s", line, code, exitUsage, text, stdout, stderr)
		}
	}
}
