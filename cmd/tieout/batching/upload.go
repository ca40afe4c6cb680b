package batching

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// pieceSize is how many bytes of a file travel in one message.
const pieceSize = 128 << 10

// File is a file that can be read as often as it has to be sent.
type File struct {
	io.ReadSeeker
	// Size is how many bytes it has.
	Size int64
	sum  [sha256.Size]byte
}

// Open reads a file once, for what it is called by.
func Open(file io.ReadSeeker) (*File, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	content, f := sha256.New(), &File{ReadSeeker: file}
	var err error
	f.Size, err = io.Copy(content, file)
	content.Sum(f.sum[:0])
	return f, err
}

// Key names the upload of the file under a header: the same file, of which the same is said, is the same upload. (Should
// another release write a header in other bytes, it is another key, and the server finds that the payments are the same.)
func (f *File) Key(header *billingv1.BatchHeader) (string, error) {
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encoding what is said of the file: %w", err)
	}
	return fmt.Sprintf("batch-file/%x", sha256.Sum256(append(f.sum[:], said...))), nil
}

// Upload says how a file is uploaded.
type Upload struct {
	Client billingv1.BatchServiceClient
	// Resender repeats an upload that broke off.
	Resender *resend.Resender
	// Key is the upload's idempotency key.
	Key string
	// Header says what the file is.
	Header *billingv1.BatchHeader
	// Timeout is how long it may take; zero for as long as it needs.
	Timeout time.Duration
	// Progress is told how many bytes were sent. They begin anew when the upload does.
	Progress func(sent int64)
}

// fileError is an error of the file, which no server can help.
type fileError struct{ error }

// Unwrap gives the file's own error.
func (e fileError) Unwrap() error { return e.error }

// Run uploads a file and gives the batch that it became, and whether it was that before. An upload that breaks off is
// sent again from its beginning, for as long as each time more of it gets through, and then for the resender's patience.
func (u Upload) Run(ctx context.Context, file *File) (batch *billingv1.Batch, replayed bool, err error) {
	attempts, furthest := u.Resender.Begin(), int64(0)
	for {
		batch, replayed, err = u.once(ctx, file, func(sent int64) {
			if sent > furthest {
				furthest = sent
				attempts.Heard()
			}
			u.Progress(sent)
		})
		if err == nil {
			return batch, replayed, nil
		}
		if broken, ok := errors.AsType[fileError](err); ok {
			return nil, false, fmt.Errorf("reading the file: %w", broken.error)
		}
		if err = attempts.Again(ctx, err); err != nil {
			return nil, false, err
		}
	}
}

// once sends the file from its beginning.
func (u Upload) once(ctx context.Context, file *File, progress func(int64)) (*billingv1.Batch, bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if u.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, u.Timeout)
		defer cancel()
	}
	stream, err := u.Client.UploadBatch(ctx)
	if err != nil {
		return nil, false, err
	}
	// A server that has refused it already takes nothing more, and the stream says so by its end; why comes below.
	if err := u.send(stream, file, progress); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return nil, false, err
	}
	header, err := stream.Header()
	return answer.GetBatch(), placing.Replayed(header), err
}

func (u Upload) send(stream billingv1.BatchService_UploadBatchClient, file *File, progress func(int64)) error {
	err := stream.Send(&billingv1.UploadBatchRequest{
		IdempotencyKey: u.Key, Part: &billingv1.UploadBatchRequest_Header{Header: u.Header},
	})
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fileError{err}
	}
	for sent := int64(0); ; {
		piece := make([]byte, pieceSize) // a message that was sent may still be read
		n, err := io.ReadFull(file, piece)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
			return fileError{err}
		}
		if err := stream.Send(&billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: piece[:n]}}); err != nil {
			return err
		}
		sent += int64(n)
		progress(sent)
	}
}
