package importing

import (
	"context"
	"encoding/hex"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/cmd/tieout/uploading"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// Import is the upload of a file. Its hash is said, so that a file that is there is not sent, and one that breaks off is not
// written from its beginning. Each import is an intent of its own: of a file that is there, the answer says so.
func Import(client reconciliationv1.StatementServiceClient, file *uploading.File, header *reconciliationv1.StatementHeader) uploading.Upload[reconciliationv1.ImportStatementRequest, reconciliationv1.ImportStatementResponse] {
	said := proto.CloneOf(header)
	said.Sha256 = hex.EncodeToString(file.Sum[:])
	return uploading.Upload[reconciliationv1.ImportStatementRequest, reconciliationv1.ImportStatementResponse]{
		Open: client.ImportStatement,
		First: &reconciliationv1.ImportStatementRequest{
			IdempotencyKey: "statement/" + uuid.NewString(), Part: &reconciliationv1.ImportStatementRequest_Header{Header: said},
		},
		Chunk: func(piece []byte) *reconciliationv1.ImportStatementRequest {
			return &reconciliationv1.ImportStatementRequest{Part: &reconciliationv1.ImportStatementRequest_Chunk{Chunk: piece}}
		},
	}
}

// pageSize is how many statements are read at once.
const pageSize = 500

// Statements reads the statements of a file.
func Statements(ctx context.Context, client reconciliationv1.StatementServiceClient, fileID string) (all []*reconciliationv1.Statement, err error) {
	for token := ""; ; {
		page, err := client.ListStatements(ctx, &reconciliationv1.ListStatementsRequest{FileId: fileID, PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetStatements()...)
		if token = page.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}
