package rpc

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// uploadPart is a message of an upload: the first one has a header of type H, the others the next bytes of a file.
type uploadPart[Q, H any] interface {
	*Q
	GetHeader() *H
	GetChunk() []byte
}

// OpenUpload reads the first message of an upload, and gives the file that the others bring. A message that is out of place is
// REQUEST_INVALID, of the file when it is read; so are the errors of the stream.
func OpenUpload[H, Q, A any, P uploadPart[Q, H]](stream grpc.ClientStreamingServer[Q, A]) (first P, file io.Reader, err error) {
	message, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, nil, rpcerr.ForField(rpcerr.RequestInvalid, "header", "the first message has the header, and there was none")
	}
	if err != nil {
		return nil, nil, err
	}
	if first = P(message); first.GetHeader() == nil {
		return nil, nil, rpcerr.ForField(rpcerr.RequestInvalid, "header", "the first message has the header")
	}
	return first, &chunks[Q, H, P]{recv: stream.Recv}, nil
}

// chunks reads the file out of a stream.
type chunks[Q, H any, P uploadPart[Q, H]] struct {
	recv func() (*Q, error)
	rest []byte
}

// Read implements io.Reader.
func (c *chunks[Q, H, P]) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		next, err := c.recv()
		if err != nil {
			return 0, err
		}
		if P(next).GetHeader() != nil {
			return 0, rpcerr.ForField(rpcerr.RequestInvalid, "header", "only the first message has the header")
		}
		c.rest = P(next).GetChunk()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
