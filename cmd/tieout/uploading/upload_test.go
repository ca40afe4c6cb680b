package uploading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/resend"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// clerk takes uploads in as billing does, and keeps what came. It breaks each off as the test says.
type clerk struct {
	billingv1.UnimplementedBatchServiceServer
	client billingv1.BatchServiceClient
	breaks []func(got int) error // of each upload, after each piece and, with -1, at its end

	keys, names []string
	whole       []byte // of the last upload
	largest     int
}

func newClerk(t *testing.T, breaks ...func(int) error) *clerk {
	t.Helper()
	c := &clerk{breaks: breaks}
	s := grpc.NewServer()
	billingv1.RegisterBatchServiceServer(s, c)
	conn, err := grpc.NewClient(nettest.ServeGRPC(t, s), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.client = billingv1.NewBatchServiceClient(conn)
	return c
}

// UploadBatch implements billingv1.BatchServiceServer.
func (c *clerk) UploadBatch(stream grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
	broken := func(int) error { return nil }
	if n := len(c.keys); n < len(c.breaks) {
		broken = c.breaks[n]
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	c.keys, c.names, c.whole = append(c.keys, first.GetIdempotencyKey()), append(c.names, first.GetHeader().GetName()), nil
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		c.whole, c.largest = append(c.whole, piece.GetChunk()...), max(c.largest, len(piece.GetChunk()))
		if err := broken(len(c.whole)); err != nil {
			return err
		}
	}
	if err := broken(-1); err != nil {
		return err
	}
	if len(c.keys) > 1 {
		if err := stream.SetHeader(metadata.Pairs("idempotency-replayed", "true")); err != nil {
			return err
		}
	}
	return stream.SendAndClose(&billingv1.UploadBatchResponse{Batch: &billingv1.Batch{BatchId: "bat_1"}})
}

func (c *clerk) upload(t *testing.T, file io.ReadSeeker) (*billingv1.Batch, bool, error) {
	t.Helper()
	opened, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, replayed, err := Upload[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]{
		Open: c.client.UploadBatch, Resender: resend.New(time.Minute), Progress: func(int64) {},
		First: &billingv1.UploadBatchRequest{
			IdempotencyKey: "key-0001", Part: &billingv1.UploadBatchRequest_Header{Header: &billingv1.BatchHeader{Name: "dues"}},
		},
		Chunk: func(piece []byte) *billingv1.UploadBatchRequest {
			return &billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: piece}}
		},
	}.Run(ctx, opened)
	return answer.GetBatch(), replayed, err
}

// bigFile has some pieces and a part of one.
func bigFile() []byte {
	return bytes.Repeat([]byte("0123456789"), (5*pieceSize+100)/10)
}

func TestUpload_SendsTheFileAgainWhenItBreaksOff(t *testing.T) {
	t.Parallel()
	gone := status.Error(codes.Unavailable, "stopping")
	c := newClerk(t,
		func(got int) error {
			if got > 2*pieceSize {
				return gone
			}
			return nil
		},
		func(got int) error {
			if got == -1 { // all of it was there, and the answer is lost
				return gone
			}
			return nil
		})
	batch, replayed, err := c.upload(t, bytes.NewReader(bigFile()))
	if err != nil || batch.GetBatchId() != "bat_1" || !replayed {
		t.Fatalf("got %v, replayed %t, %v", batch, replayed, err)
	}
	if got := fmt.Sprint(c.keys, c.names); got != "[key-0001 key-0001 key-0001] [dues dues dues]" {
		t.Errorf("sent as %s", got)
	}
	if !bytes.Equal(c.whole, bigFile()) || c.largest > 256<<10 {
		t.Errorf("%d bytes arrived, in pieces of up to %d; want %d", len(c.whole), c.largest, len(bigFile()))
	}
}

func TestUpload_TakesARefusalInTheMiddleAtItsWord(t *testing.T) {
	t.Parallel()
	refusal := rpcerr.ForField(rpcerr.RequestInvalid, "chunk", "no heading")
	c := newClerk(t, func(int) error { return status.Error(codes.InvalidArgument, refusal.Message) })
	_, _, err := c.upload(t, bytes.NewReader(bigFile()))
	if status.Code(err) != codes.InvalidArgument || len(c.keys) != 1 {
		t.Errorf("was sent %d times and ended as %v", len(c.keys), err)
	}
}

// torn is a file that can be read once, and not again.
type torn struct {
	*bytes.Reader
	reads int
}

// Seek implements io.Seeker.
func (f *torn) Seek(offset int64, whence int) (int64, error) {
	f.reads++
	return f.Reader.Seek(offset, whence)
}

// Read implements io.Reader.
func (f *torn) Read(p []byte) (int, error) {
	if f.reads > 1 {
		return 0, os.ErrClosed
	}
	return f.Reader.Read(p)
}

func TestUpload_TellsThatTheFileCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newClerk(t)
	if _, _, err := c.upload(t, &torn{Reader: bytes.NewReader(bigFile())}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("ended as %v", err)
	}
}
