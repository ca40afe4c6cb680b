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

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// breakDesk answers as the reconciliation does, about one break, and keeps what it was asked and by whom.
type breakDesk struct {
	reconciliationv1.UnimplementedBreakServiceServer
	addr string

	mu    sync.Mutex
	b     *reconciliationv1.Break
	op    *reconciliationv1.BreakOperation
	asked []proto.Message
	by    []string
	none  bool // of what is looked for
}

func newBreakDesk(t *testing.T) *breakDesk {
	t.Helper()
	d := &breakDesk{b: &reconciliationv1.Break{
		BreakId: "brk_1", Code: "AMOUNT_UNDER", State: reconciliationv1.BreakState_BREAK_STATE_OPEN, Severity: reconciliationv1.BreakSeverity_BREAK_SEVERITY_HIGH,
		Amount: &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: -1250}, AgeDays: 4, LastEvent: 1,
	}}
	s := grpc.NewServer()
	reconciliationv1.RegisterBreakServiceServer(s, d)
	d.addr = nettest.ServeGRPC(t, s)
	return d
}

// tieout runs a command against the desk.
func (d *breakDesk) tieout(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, []string{envAddr + "=" + d.addr}, append([]string{"break"}, strings.Fields(line)...)...)
}

func (d *breakDesk) note(ctx context.Context, m proto.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.by = append(d.asked, m), append(d.by, rpc.Caller(ctx))
}

// GetBreak implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) GetBreak(_ context.Context, r *reconciliationv1.GetBreakRequest) (*reconciliationv1.GetBreakResponse, error) {
	if r.GetBreakId() != d.b.GetBreakId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "break_id", "there is none")
	}
	return &reconciliationv1.GetBreakResponse{
		Break: d.b, Movements: []*reconciliationv1.BreakMovement{{MovementId: 1, Ours: true, Stage: "bank", Amount: d.b.GetAmount()}},
		Events: []*reconciliationv1.BreakEvent{{Number: 1, Actor: "run", Verb: "see", Time: timestamppb.Now()}},
	}, nil
}

// ListBreaks implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) ListBreaks(ctx context.Context, r *reconciliationv1.ListBreaksRequest) (*reconciliationv1.ListBreaksResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ListBreaksResponse{Breaks: []*reconciliationv1.Break{d.b}}, nil
}

// OperateBreak implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) OperateBreak(ctx context.Context, r *reconciliationv1.OperateBreakRequest) (*reconciliationv1.OperateBreakResponse, error) {
	d.note(ctx, r)
	if r.GetDecision().GetVerb() == reconciliationv1.BreakVerb_BREAK_VERB_APPROVE {
		return nil, rpcerr.New(rpcerr.BreakSamePerson, "no")
	}
	return &reconciliationv1.OperateBreakResponse{Break: d.b}, nil
}

// PlanBreakOperation implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) PlanBreakOperation(ctx context.Context, r *reconciliationv1.PlanBreakOperationRequest) (*reconciliationv1.PlanBreakOperationResponse, error) {
	d.note(ctx, r)
	d.op = &reconciliationv1.BreakOperation{
		OperationId: "bop_1", Filter: r.GetFilter(), Decision: r.GetDecision(), Matched: 2, State: reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_PLANNED,
		Totals: []*reconciliationv1.BreakTotal{{Count: 2, Sum: d.b.GetAmount()}},
	}
	if d.none {
		d.op.Matched, d.op.Totals = 0, nil
	}
	return &reconciliationv1.PlanBreakOperationResponse{Operation: d.op}, nil
}

// ApplyBreakOperation implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) ApplyBreakOperation(ctx context.Context, r *reconciliationv1.ApplyBreakOperationRequest) (*reconciliationv1.ApplyBreakOperationResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ApplyBreakOperationResponse{Operation: d.op}, nil
}

// GetBreakOperation implements reconciliationv1.BreakServiceServer. An operation that was applied has ended.
func (d *breakDesk) GetBreakOperation(_ context.Context, r *reconciliationv1.GetBreakOperationRequest) (*reconciliationv1.GetBreakOperationResponse, error) {
	if r.GetOperationId() != d.op.GetOperationId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "operation_id", "there is none")
	}
	if d.op.GetEndTime() != nil {
		return &reconciliationv1.GetBreakOperationResponse{Operation: d.op}, nil
	}
	ended := proto.CloneOf(d.op)
	ended.Done, ended.Refused, ended.EndTime = 1, 1, timestamppb.Now()
	ended.State = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_FINISHED
	ended.Refusals = []*reconciliationv1.BreakRefusal{{BreakId: "brk_2", Reason: "BREAK_STATE_REFUSED"}}
	return &reconciliationv1.GetBreakOperationResponse{Operation: ended}, nil
}

// ListBreakOperations implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) ListBreakOperations(ctx context.Context, r *reconciliationv1.ListBreakOperationsRequest) (*reconciliationv1.ListBreakOperationsResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ListBreakOperationsResponse{Operations: []*reconciliationv1.BreakOperation{d.op}}, nil
}

// CancelBreakOperation implements reconciliationv1.BreakServiceServer.
func (d *breakDesk) CancelBreakOperation(ctx context.Context, r *reconciliationv1.CancelBreakOperationRequest) (*reconciliationv1.CancelBreakOperationResponse, error) {
	d.note(ctx, r)
	if d.op.GetEndTime() != nil {
		return nil, rpcerr.New(rpcerr.OperationNotOpen, "it has ended")
	}
	d.op.State, d.op.EndTime = reconciliationv1.BreakOperationState_BREAK_OPERATION_STATE_CANCELLED, timestamppb.Now()
	d.op.CancelledBy, d.op.CancelReason = rpc.Caller(ctx), r.GetReason()
	return &reconciliationv1.CancelBreakOperationResponse{Operation: d.op}, nil
}

func TestBreak_DecisionIsAPlanUntilYes(t *testing.T) {
	t.Parallel()
	d := newBreakDesk(t)
	code, stdout, stderr := d.tieout(t, "resolve brk_1 --how write_off --reason x -o json")
	if code != exitOK || len(d.asked) != 0 || !strings.Contains(stderr, "nothing was done") || !json.Valid([]byte(stdout)) {
		t.Errorf("plan: exit %d, asked %v, %s%s", code, d.asked, stdout, stderr)
	}
	for range 2 { // the same command at the same state is the same request
		if code, _, stderr = d.tieout(t, "resolve brk_1 --how write_off --reason x --yes --as ann"); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	first, second := d.asked[0].(*reconciliationv1.OperateBreakRequest), d.asked[1].(*reconciliationv1.OperateBreakRequest)
	if !proto.Equal(first, second) || d.by[0] != "ann" || first.GetDecision().GetResolution() != reconciliationv1.BreakResolution_BREAK_RESOLUTION_WRITTEN_OFF {
		t.Errorf("asked %v, by %v", d.asked, d.by)
	}
	code, _, stderr = d.tieout(t, "approve brk_1 --reason x --yes")
	if code != exitDenied || !strings.Contains(stderr, "BREAK_SAME_PERSON") || d.by[2] != defaultCaller {
		t.Errorf("exit %d, by %v: %s", code, d.by, stderr)
	}
	if code, _, stderr = d.tieout(t, "ack brk_1 brk_2 --reason x --yes"); code != exitPartial || !strings.Contains(stderr, "brk_2 was left as it is") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestBreak_AFilterInsteadOfIdsIsAnOperation(t *testing.T) {
	t.Parallel()
	d := newBreakDesk(t)
	code, stdout, stderr := d.tieout(t, "accept --code amount_under --severity high --min-age 3 --reason x")
	if code != exitOK || len(d.asked) != 1 || !strings.Contains(stderr, "tieout break operation apply bop_1 --yes") || !strings.Contains(stdout, "-12.50 GBP") {
		t.Errorf("plan: exit %d, asked %v, %s%s", code, d.asked, stdout, stderr)
	}
	const want = `code = "amount_under" AND severity = "high" AND age_days >= 3`
	if got := d.asked[0].(*reconciliationv1.PlanBreakOperationRequest).GetFilter(); got != want {
		t.Errorf("filter %s, want %s", got, want)
	}
	code, stdout, stderr = d.tieout(t, "accept --filter severity=high --reason x --yes --as ann")
	if code != exitPartial || len(d.asked) != 3 || d.by[2] != "ann" || !strings.Contains(stderr, "1 of 2 breaks were left as they are") || !strings.Contains(stdout, "brk_2") {
		t.Errorf("exit %d, asked %v, by %v, %s%s", code, d.asked, d.by, stdout, stderr)
	}
	if got := d.asked[1].(*reconciliationv1.PlanBreakOperationRequest).GetFilter(); got != "severity=high" {
		t.Errorf("filter %s", got)
	}
	d.none = true
	if code, _, stderr := d.tieout(t, "accept --code x --reason x --yes"); code != exitOK || len(d.asked) != 4 || !strings.Contains(stderr, "holds for no break") {
		t.Errorf("of nothing: exit %d, asked %v, %s", code, d.asked, stderr)
	}
}

// What a list is asked for, an operation is too.
func TestBreak_TheSameFlagsListAndPlanTheSame(t *testing.T) {
	t.Parallel()
	d := newBreakDesk(t)
	for flags, want := range map[string][]string{
		`--filter|severity >= high OR assignee = ""`:                    {`severity >= high OR assignee = ""`},
		`--filter|a = 1 OR b = 2|--currency|eur|--assignee|o'"b`:        {`(a = 1 OR b = 2) AND currency = "eur" AND assignee = "o'\"b"`},
		"--state|resolved|--account|shop|--order|ord_1|--payment|pay_1": {`state = "resolved" AND account = "shop" AND order_id = "ord_1" AND payment_id = "pay_1"`},
		"--min-age|5": {"age_days >= 5"},
	} {
		d.asked = nil
		args := strings.Split(flags, "|")
		for _, command := range [][]string{{"break", "list"}, {"break", "ack", "--reason", "x"}} {
			if code, _, stderr := call(t, []string{envAddr + "=" + d.addr}, append(command, args...)...); code != exitOK {
				t.Fatalf("%v %s: exit %d, %s", command, flags, code, stderr)
			}
		}
		listed, planned := d.asked[0].(*reconciliationv1.ListBreaksRequest).GetFilter(), d.asked[1].(*reconciliationv1.PlanBreakOperationRequest).GetFilter()
		if listed != want[0] || planned != want[0] {
			t.Errorf("%s: listed %s, planned %s, want %s", flags, listed, planned, want[0])
		}
	}
}

func TestBreak_OperationsAreListedWatchedAndCancelled(t *testing.T) {
	t.Parallel()
	d := newBreakDesk(t)
	d.tieout(t, "ack --code x --reason y")
	if code, stdout, stderr := d.tieout(t, "operation list"); code != exitOK || !strings.Contains(stdout, "bop_1") || !strings.Contains(stdout, "planned") {
		t.Errorf("list: exit %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := d.tieout(t, "operation watch bop_1"); code != exitPartial || !strings.Contains(stdout, "finished") {
		t.Errorf("watch: exit %d, %s", code, stdout)
	}
	d.asked = nil
	if code, _, stderr := d.tieout(t, "operation cancel bop_1"); code != exitUsage || !strings.Contains(stderr, "needs --reason") {
		t.Errorf("without a reason: exit %d, %s", code, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "operation cancel bop_1 --reason enough"); code != exitOK || len(d.asked) != 0 || !strings.Contains(stderr, "nothing was done") || stdout == "" {
		t.Errorf("without --yes: exit %d, asked %v, %s", code, d.asked, stderr)
	}
	if code, stdout, stderr := d.tieout(t, "operation apply bop_1"); code != exitOK || len(d.asked) != 0 || !strings.Contains(stderr, "nothing was done") || stdout == "" {
		t.Errorf("apply without --yes: exit %d, asked %v, %s", code, d.asked, stderr)
	}
	code, stdout, stderr := d.tieout(t, "operation cancel bop_1 --reason enough --yes --as bob -o json")
	got := decode[struct {
		State       string
		CancelledBy string `json:"cancelled_by"`
	}](t, stdout)
	if code != exitOK || len(d.asked) != 1 || d.by[len(d.by)-1] != "bob" || got.CancelledBy != "bob" || !strings.HasSuffix(got.State, "CANCELLED") {
		t.Errorf("exit %d, by %v, %s%s", code, d.by, stdout, stderr)
	}
	if code, _, stderr := d.tieout(t, "operation cancel bop_1 --reason enough --yes"); code != exitPrecondition || !strings.Contains(stderr, "OPERATION_NOT_OPEN") {
		t.Errorf("again: exit %d, %s", code, stderr)
	}
	if code, _, _ := d.tieout(t, "operation get bop_9"); code != exitNotFound {
		t.Errorf("one that is not there: exit %d", code)
	}
}

func TestBreak_IsShownInEveryFormat(t *testing.T) {
	t.Parallel()
	d := newBreakDesk(t)
	d.tieout(t, "ack --code AMOUNT_UNDER --reason y")
	for _, line := range []string{"list --state open", "get brk_1", "operation list", "operation get bop_1"} {
		wantInJSON(t, func(format string) (int, string, string) { return d.tieout(t, line+" -o "+format) })
		for _, format := range []string{"table", "json", "jsonl", "yaml", "csv"} {
			code, stdout, stderr := d.tieout(t, line+" -o "+format)
			if code != exitOK || !strings.Contains(stdout, "AMOUNT_UNDER") || stderr != "" {
				t.Errorf("%s -o %s: exit %d, %s%s", line, format, code, stdout, stderr)
			}
		}
	}
	if code, _, _ := d.tieout(t, "get brk_9"); code != exitNotFound {
		t.Errorf("exit %d", code)
	}
}

func TestBreak_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"":                                   "needs a command",
		"ack brk_1":                          "needs --reason",
		"ack --reason x":                     "say which breaks",
		"ack brk_1 --code X --reason x":      "say which breaks",
		"snooze brk_1 --reason x":            "needs --until",
		"snooze brk_1 --reason x --until no": `--until "no" is neither`,
		"resolve brk_1 --reason x":           "is none of write_off, repost, repair",
		"ack brk_1 --filter x=y --reason x":  "say which breaks",
		"resolve brk_1 --reason x --how no":  `--how "no" is none of`,
		"list --min-age x":                   "invalid argument",
		"list brk_1":                         "unknown command",
		"get":                                "accepts 1 arg",
		"operation":                          "needs a command",
		"operation cancel bop_1":             "needs --reason",
		"operation list --limit -1":          "less than zero",
	} {
		code, stdout, stderr := call(t, []string{envAddr + "=127.0.0.1:1"}, append([]string{"break"}, strings.Fields(line)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, text) {
			t.Errorf("tieout break %s: exit %d, want %d with %q; stdout %q, stderr:\n%s", line, code, exitUsage, text, stdout, stderr)
		}
	}
}
