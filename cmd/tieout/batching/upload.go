package batching

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/cmd/tieout/uploading"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// Key names the upload of a file under a header: the same file, of which the same is said, is the same upload. (Should
// another release write a header in other bytes, it is another key, and the server finds that the payments are the same.)
func Key(file *uploading.File, header *billingv1.BatchHeader) (string, error) {
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encoding what is said of the file: %w", err)
	}
	return fmt.Sprintf("batch-file/%x", sha256.Sum256(append(file.Sum[:], said...))), nil
}

// Upload is the upload of a file of payments under a key.
func Upload(client billingv1.BatchServiceClient, key string, header *billingv1.BatchHeader) uploading.Upload[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse] {
	return uploading.Upload[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]{
		Open:  client.UploadBatch,
		First: &billingv1.UploadBatchRequest{IdempotencyKey: key, Part: &billingv1.UploadBatchRequest_Header{Header: header}},
		Chunk: func(piece []byte) *billingv1.UploadBatchRequest {
			return &billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: piece}}
		},
	}
}
