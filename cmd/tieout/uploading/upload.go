package uploading

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
)

// pieceSize is how many bytes of a file travel in one message.
const pieceSize = 64 << 10

// File is a file that can be read as often as it has to be sent.
type File struct {
	io.ReadSeeker
	// Size is how many bytes it has.
	Size int64
	// Sum is the SHA-256 of them.
	Sum [sha256.Size]byte
}

// Open reads a file once, for what it is called by.
func Open(file io.ReadSeeker) (*File, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	content, f := sha256.New(), &File{ReadSeeker: file}
	var err error
	f.Size, err = io.Copy(content, file)
	content.Sum(f.Sum[:0])
	return f, err
}

// Upload says how a file is uploaded, by a method that takes a stream of Q and answers A.
type Upload[Q, A any] struct {
	// Open begins a stream.
	Open func(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[Q, A], error)
	// First is the first message: the key, and what the file is.
	First *Q
	// Chunk makes a message of the next bytes of the file.
	Chunk func([]byte) *Q
	// Resender repeats an upload that broke off.
	Resender *resend.Resender
	// Timeout is how long it may take; zero for as long as it needs.
	Timeout time.Duration
	// Progress is told how many bytes were sent. They begin anew when the upload does.
	Progress func(sent int64)
}

// fileError is an error of the file, which no server can help.
type fileError struct{ error }

// Unwrap gives the file's own error.
func (e fileError) Unwrap() error { return e.error }

// Run uploads a file and gives the answer, and whether that was given before. An upload that breaks off is sent again from its
// beginning, for as long as each time more of it gets through, and then for the resender's patience.
func (u Upload[Q, A]) Run(ctx context.Context, file *File) (answer *A, replayed bool, err error) {
	attempts, furthest := u.Resender.Begin(), int64(0)
	for {
		answer, replayed, err = u.once(ctx, file, func(sent int64) {
			if sent > furthest {
				furthest = sent
				attempts.Heard()
			}
			u.Progress(sent)
		})
		if err == nil {
			return answer, replayed, nil
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
func (u Upload[Q, A]) once(ctx context.Context, file *File, progress func(int64)) (*A, bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if u.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, u.Timeout)
		defer cancel()
	}
	stream, err := u.Open(ctx)
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
	return answer, placing.Replayed(header), err
}

func (u Upload[Q, A]) send(stream grpc.ClientStreamingClient[Q, A], file *File, progress func(int64)) error {
	if err := stream.Send(u.First); err != nil {
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
		if err := stream.Send(u.Chunk(piece[:n])); err != nil {
			return err
		}
		sent += int64(n)
		progress(sent)
	}
}
