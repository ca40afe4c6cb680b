package resend

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errStreamEnded stands for a stream that ended before what it tells of had, as when a server stops.
var errStreamEnded = status.Error(codes.Unavailable, "the stream ended too early")

// Stream is what a server streams.
type Stream[M any] interface {
	Recv() (M, error)
}

// Follow opens a stream and tells each of every message, until it says that what is followed has ended. A stream that
// breaks is opened again for as long as the patience lasts.
func Follow[M any](ctx context.Context, r *Resender, open func(context.Context) (Stream[M], error), each func(M) (ended bool, err error)) error {
	attempts := r.Begin()
	for {
		told := false
		err := follow(ctx, open, func(m M) (bool, error) {
			told = true
			attempts.Heard()
			return each(m)
		})
		if err == nil {
			return nil
		}
		if told {
			attempts.Heard() // it was there until now, however long there was nothing to tell
		}
		if err = attempts.Again(ctx, err); err != nil {
			return err
		}
	}
}

// follow follows one stream.
func follow[M any](ctx context.Context, open func(context.Context) (Stream[M], error), each func(M) (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errStreamEnded
		}
		if err != nil {
			return err
		}
		if ended, err := each(m); ended || err != nil {
			return err
		}
	}
}
