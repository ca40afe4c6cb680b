package main

import (
	"context"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// statementDesk answers as the reconciliation does, about one file that is held, and keeps what it was asked and by whom.
type statementDesk struct {
	reconciliationv1.UnimplementedStatementServiceServer
	addr string

	mu    sync.Mutex
	file  *reconciliationv1.StatementFile
	held  *reconciliationv1.Statement
	asked []proto.Message
	by    []string
}

func newStatementDesk(t *testing.T) *statementDesk {
	t.Helper()
	eur := func(minor int64) *commonv1.Amount { return &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: minor} }
	d := &statementDesk{
		file: &reconciliationv1.StatementFile{
			FileId: "stf_1", State: reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_HELD, Name: "november.sta", Account: "default",
			Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_MT940, Side: reconciliationv1.StatementSide_STATEMENT_SIDE_BANK, Sha256: "abc",
			Statements: 1, Lines: 2, Pending: 1, PayoutLines: 1, Movements: 2, Overlapping: 1, ControlHash: "def", Proofs: 3, Failing: 1,
			FailingProofs: []*reconciliationv1.StatementProof{{Line: 7, Rule: "closing", Stated: "1", Computed: "2"}},
			Note:          "a statement is missing", Repeats: 1, ImportedBy: "ann", CreateTime: timestamppb.Now(), DecideTime: timestamppb.Now(),
		},
		held: &reconciliationv1.Statement{
			StatementId: "stm_1", FileId: "stf_1", Number: 1, Standing: reconciliationv1.StatementStanding_STATEMENT_STANDING_GAP, Note: "4 is missing",
			SenderId: "S5", BankAccount: "DE89", CurrencyCode: "EUR", Sequence: 5, Page: 1, Opening: eur(100), Closing: eur(350), OpeningDate: "2026-11-02",
			ClosingDate: "2026-11-03", Lines: 2, Pending: 1, Overlapping: 1,
			Sums: []*reconciliationv1.StatementSum{{Credits: eur(300), Debits: eur(-50), Fees: eur(1)}},
		},
	}
	s := grpc.NewServer()
	reconciliationv1.RegisterStatementServiceServer(s, d)
	healthv1.RegisterHealthServer(s, health.NewServer())
	d.addr = nettest.ServeGRPC(t, s)
	return d
}

// tieout runs a command against the desk.
func (d *statementDesk) tieout(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, []string{envAddr + "=" + d.addr}, append([]string{"statement"}, strings.Fields(line)...)...)
}

func (d *statementDesk) note(ctx context.Context, m proto.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.by = append(d.asked, m), append(d.by, rpc.Caller(ctx))
}

// GetStatementFile implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) GetStatementFile(_ context.Context, r *reconciliationv1.GetStatementFileRequest) (*reconciliationv1.GetStatementFileResponse, error) {
	if r.GetFileId() != d.file.GetFileId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "file_id", "there is none")
	}
	return &reconciliationv1.GetStatementFileResponse{File: d.file}, nil
}

// ListStatementFiles implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) ListStatementFiles(ctx context.Context, r *reconciliationv1.ListStatementFilesRequest) (*reconciliationv1.ListStatementFilesResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ListStatementFilesResponse{Files: []*reconciliationv1.StatementFile{d.file}}, nil
}

// GetStatement implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) GetStatement(_ context.Context, r *reconciliationv1.GetStatementRequest) (*reconciliationv1.GetStatementResponse, error) {
	if r.GetStatementId() != d.held.GetStatementId() {
		return nil, rpcerr.ForField(rpcerr.NotFound, "statement_id", "there is none")
	}
	return &reconciliationv1.GetStatementResponse{Statement: d.held}, nil
}

// ListStatements implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) ListStatements(ctx context.Context, r *reconciliationv1.ListStatementsRequest) (*reconciliationv1.ListStatementsResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ListStatementsResponse{Statements: []*reconciliationv1.Statement{d.held}}, nil
}

// ListStatementLines implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) ListStatementLines(ctx context.Context, r *reconciliationv1.ListStatementLinesRequest) (*reconciliationv1.ListStatementLinesResponse, error) {
	d.note(ctx, r)
	return &reconciliationv1.ListStatementLinesResponse{Lines: []*reconciliationv1.StatementLine{{
		Line: 4, Kind: "payout", Amount: d.held.GetOpening(), Fee: d.held.GetOpening(), BookedDate: "2026-11-02", ValueDate: "2026-11-02", ProviderId: "p",
		ParentId: "q", Key: "k", Reference: "r", PayoutId: "po_1", Note: "PAYOUT",
	}}}, nil
}

// ReleaseStatement implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) ReleaseStatement(ctx context.Context, r *reconciliationv1.ReleaseStatementRequest) (*reconciliationv1.ReleaseStatementResponse, error) {
	d.note(ctx, r)
	if err := d.end(reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_ACCEPTED); err != nil {
		return nil, err
	}
	return &reconciliationv1.ReleaseStatementResponse{File: d.file}, nil
}

// DropStatement implements reconciliationv1.StatementServiceServer.
func (d *statementDesk) DropStatement(ctx context.Context, r *reconciliationv1.DropStatementRequest) (*reconciliationv1.DropStatementResponse, error) {
	d.note(ctx, r)
	if err := d.end(reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_DROPPED); err != nil {
		return nil, err
	}
	return &reconciliationv1.DropStatementResponse{File: d.file}, nil
}

// end decides on the file, once.
func (d *statementDesk) end(state reconciliationv1.StatementFileState) error {
	if d.file.GetState() != reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_HELD {
		return rpcerr.New(rpcerr.StatementStateRefused, "it is not held")
	}
	d.file.State = state
	return nil
}

func TestStatement_IsReleasedOrDroppedWithAReason(t *testing.T) {
	t.Parallel()
	for verb, state := range map[string]string{"release": "accepted", "drop": "dropped"} {
		d := newStatementDesk(t)
		if code, stdout, stderr := d.tieout(t, verb+" stf_1"); code != exitUsage || stdout != "" || len(d.asked) != 0 || !strings.Contains(stderr, "needs --reason") {
			t.Errorf("%s without a reason: exit %d, asked %v, %s%s", verb, code, d.asked, stdout, stderr)
		}
		code, stdout, stderr := d.tieout(t, verb+" stf_1 --reason known --as ann")
		if code != exitOK || len(d.asked) != 1 || d.by[0] != "ann" || !strings.Contains(stdout, state) {
			t.Errorf("%s: exit %d, asked %v by %v, %s%s", verb, code, d.asked, d.by, stdout, stderr)
		}
		asked := d.asked[0].(interface {
			GetIdempotencyKey() string
			GetStatementId() string
			GetReason() string
		})
		if !strings.HasPrefix(asked.GetIdempotencyKey(), verb+"/") || asked.GetStatementId() != "stf_1" || asked.GetReason() != "known" {
			t.Errorf("%s: asked %v", verb, asked)
		}
		if code, stdout, stderr := d.tieout(t, verb+" stf_1 --reason again"); code != exitPrecondition || stdout != "" || !strings.Contains(stderr, "STATEMENT_STATE_REFUSED") {
			t.Errorf("%s again: exit %d, %s%s", verb, code, stdout, stderr)
		}
	}
}

func TestStatement_IsAskedForAndShownInEveryFormat(t *testing.T) {
	t.Parallel()
	d := newStatementDesk(t)
	for line, says := range map[string]string{
		"files --account default --state held":                 "november.sta",
		"list --file stf_1 --bank-account DE89 --standing gap": "DE89",
		"lines stm_1": "po_1", "get stf_1": "november.sta", "get stm_1": "DE89",
	} {
		wantInJSON(t, func(format string) (int, string, string) { return d.tieout(t, line+" -o "+format) })
		for _, format := range []string{"table", "json", "jsonl", "yaml", "csv"} {
			code, stdout, stderr := d.tieout(t, line+" -o "+format)
			if code != exitOK || !strings.Contains(stdout, says) || stderr != "" {
				t.Errorf("%s -o %s: exit %d, %s%s", line, format, code, stdout, stderr)
			}
		}
	}
	d.asked = nil
	d.tieout(t, "files --account default --state held")
	d.tieout(t, "list --file stf_1 --bank-account DE89 --standing gap")
	for i, want := range []proto.Message{
		&reconciliationv1.ListStatementFilesRequest{Account: "default", State: reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_HELD},
		&reconciliationv1.ListStatementsRequest{FileId: "stf_1", BankAccount: "DE89", Standing: reconciliationv1.StatementStanding_STATEMENT_STANDING_GAP},
	} {
		got := proto.CloneOf(d.asked[i])
		proto.Merge(want, pageOf(got))
		if !proto.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
	}
	for _, line := range []string{"get stf_9", "get stm_9"} {
		if code, stdout, _ := d.tieout(t, line); code != exitNotFound || stdout != "" {
			t.Errorf("%s: exit %d, %s", line, code, stdout)
		}
	}
}

// pageOf is a request's page size alone.
func pageOf(m proto.Message) proto.Message {
	page := m.ProtoReflect().New()
	if size := m.ProtoReflect().Descriptor().Fields().ByName("page_size"); size != nil {
		page.Set(size, m.ProtoReflect().Get(size))
	}
	return page.Interface()
}

func TestStatement_RefusesACommandLineWithTheReason(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"":                             "needs a command",
		"files --state gone":           `--state "gone" is none of`,
		"list --standing gone":         `--standing "gone" is none of`,
		"list --limit -1":              "less than zero",
		"get":                          "accepts 1 arg",
		"lines":                        "accepts 1 arg",
		"release --reason x":           "accepts 1 arg",
		"drop stf_1":                   "needs --reason",
		"import":                       "requires at least 1 arg",
		"import --format pdf f.pdf":    `--format "pdf" is none of`,
		"import --side left f.sta":     `--side "left" is none of`,
		"drop stf_1 --reason x --as é": "--as",
	} {
		code, stdout, stderr := call(t, []string{envAddr + "=127.0.0.1:1"}, append([]string{"statement"}, strings.Fields(line)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, text) {
			t.Errorf("tieout statement %s: exit %d, want %d with %q; stdout %q, stderr:\n%s", line, code, exitUsage, text, stdout, stderr)
		}
	}
	if code, _, stderr := call(t, nil, "statement", "files", "--addr", "127.0.0.1:1"); code != exitUnavailable || !strings.Contains(stderr, "DESTINATION_DOWN") {
		t.Errorf("nobody answers: exit %d, %s", code, stderr)
	}
}
