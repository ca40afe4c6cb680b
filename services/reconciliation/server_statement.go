package reconciliation

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// statementServer is the gRPC face of what is taken in.
type statementServer struct {
	reconciliationv1.UnimplementedStatementServiceServer
	reconciliation *reconciliation
}

// ImportStatement implements reconciliationv1.StatementServiceServer.
func (s *statementServer) ImportStatement(stream grpc.ClientStreamingServer[reconciliationv1.ImportStatementRequest, reconciliationv1.ImportStatementResponse]) error {
	first, content, err := rpc.OpenUpload[reconciliationv1.StatementHeader](stream)
	if err != nil {
		return err
	}
	h, err := statementHeaderFromProto(first.GetHeader())
	if err != nil {
		return err
	}
	taken, duplicate, err := s.reconciliation.importFile(stream.Context(), requestOf(stream.Context(), first.GetIdempotencyKey()), h, content)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&reconciliationv1.ImportStatementResponse{File: fileToProto(taken), Duplicate: duplicate})
}

// GetStatementFile implements reconciliationv1.StatementServiceServer.
func (s *statementServer) GetStatementFile(ctx context.Context, r *reconciliationv1.GetStatementFileRequest) (*reconciliationv1.GetStatementFileResponse, error) {
	fid, err := parseFileID(r.GetFileId())
	if err != nil {
		return nil, err
	}
	found, err := s.reconciliation.readFile(ctx, fid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetStatementFileResponse{File: fileToProto(found)}, nil
}

// ListStatementFiles implements reconciliationv1.StatementServiceServer.
func (s *statementServer) ListStatementFiles(ctx context.Context, r *reconciliationv1.ListStatementFilesRequest) (*reconciliationv1.ListStatementFilesResponse, error) {
	before, err := rpc.PageBefore[fileKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.reconciliation.listFiles(ctx, before, r.GetAccount(), fileStateFromProto(r.GetState()), n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, fileToProto, (*reconciliationv1.StatementFile).GetFileId)
	return &reconciliationv1.ListStatementFilesResponse{Files: page, NextPageToken: next}, nil
}

// GetStatement implements reconciliationv1.StatementServiceServer.
func (s *statementServer) GetStatement(ctx context.Context, r *reconciliationv1.GetStatementRequest) (*reconciliationv1.GetStatementResponse, error) {
	sid, err := parseStatementID(r.GetStatementId())
	if err != nil {
		return nil, err
	}
	found, err := s.reconciliation.readStatement(ctx, sid)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.GetStatementResponse{Statement: statementToProto(found)}, nil
}

// ListStatements implements reconciliationv1.StatementServiceServer.
func (s *statementServer) ListStatements(ctx context.Context, r *reconciliationv1.ListStatementsRequest) (*reconciliationv1.ListStatementsResponse, error) {
	of := statementFilter{bankAccount: r.GetBankAccount(), standing: standing(r.GetStanding())}
	before, after, err := statementsBehind(r.GetPageToken())
	if err == nil && r.GetFileId() != "" {
		of.file, err = parseFileID(r.GetFileId())
	}
	if err != nil {
		return nil, err
	}
	if !of.file.IsZero() {
		before = of.file
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.reconciliation.listStatements(ctx, of, before, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, statementToProto, func(m *reconciliationv1.Statement) string {
		return m.GetFileId() + "/" + strconv.Itoa(int(m.GetNumber()))
	})
	return &reconciliationv1.ListStatementsResponse{Statements: page, NextPageToken: next}, nil
}

// statementsBehind reads which statement a list is to begin behind: a file, and a number in it.
func statementsBehind(pageToken string) (before FileID, after int32, err error) {
	token, err := rpc.ParsePageToken(pageToken)
	if err != nil || token == "" {
		return FileID(uuid.Max), 0, err
	}
	file, number, _ := strings.Cut(token, "/")
	before, err1 := id.Parse[fileKind](file)
	n, err2 := strconv.ParseInt(number, 10, 32)
	if err1 != nil || err2 != nil {
		return before, 0, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return before, int32(n), nil
}

// ListStatementLines implements reconciliationv1.StatementServiceServer.
func (s *statementServer) ListStatementLines(ctx context.Context, r *reconciliationv1.ListStatementLinesRequest) (*reconciliationv1.ListStatementLinesResponse, error) {
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if token != "" {
		if after, err = strconv.ParseInt(token, 10, 64); err != nil {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.reconciliation.listLines(ctx, r.GetStatementId(), after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, lineToProto, func(l *reconciliationv1.StatementLine) string { return strconv.FormatInt(l.GetPlace(), 10) })
	return &reconciliationv1.ListStatementLinesResponse{Lines: page, NextPageToken: next}, nil
}

// ReleaseStatement implements reconciliationv1.StatementServiceServer.
func (s *statementServer) ReleaseStatement(ctx context.Context, r *reconciliationv1.ReleaseStatementRequest) (*reconciliationv1.ReleaseStatementResponse, error) {
	d := decision{request: requestOf(ctx, r.GetIdempotencyKey()), target: r.GetStatementId(), reason: r.GetReason()}
	after, err := s.reconciliation.release(ctx, d)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.ReleaseStatementResponse{File: fileToProto(after)}, nil
}

// DropStatement implements reconciliationv1.StatementServiceServer.
func (s *statementServer) DropStatement(ctx context.Context, r *reconciliationv1.DropStatementRequest) (*reconciliationv1.DropStatementResponse, error) {
	d := decision{request: requestOf(ctx, r.GetIdempotencyKey()), target: r.GetStatementId(), reason: r.GetReason()}
	after, err := s.reconciliation.drop(ctx, d)
	if err != nil {
		return nil, err
	}
	return &reconciliationv1.DropStatementResponse{File: fileToProto(after)}, nil
}
