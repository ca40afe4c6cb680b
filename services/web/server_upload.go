package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"go.opentelemetry.io/otel/trace"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// pieceSize is how much of a file one message brings, in bytes.
const pieceSize = 64 << 10

// uploading has files planned as batches. A request's body is the file as it is, and its parameters are the first message of an
// upload. It may be of any size, and take as long as it goes on: each piece has as long as another request has as a whole.
func (g *gateway) uploading(p peers) http.Handler {
	batches := billingv1.NewBatchServiceClient(p.billing)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, err := g.seats.take(seatOf(r))
		if err != nil {
			writeError(w, err)
			return
		}
		defer leave()
		ctx, span := g.tracer.Start(r.Context(), "HTTP "+r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // what was not sent to its end leaves nothing
		c := http.NewResponseController(w)
		defer context.AfterFunc(g.draining, func() {
			cancel()
			_ = c.SetReadDeadline(time.Now())
		})()
		planned, replayed, err := upload(ctx, batches, c, r)
		if err != nil && g.draining.Err() != nil {
			err = rpcerr.New(rpcerr.ShuttingDown, "the gateway is stopping; send the file again under the same key")
		}
		var raw []byte
		if err == nil {
			raw, err = marshaling.Marshal(planned)
		}
		if err == nil {
			err = c.SetWriteDeadline(time.Now().Add(exchangeLimit))
		}
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if replayed {
			w.Header().Set(replayedHeader, "true")
		}
		_, _ = w.Write(raw) // a client that is gone asks again
	})
}

// upload sends a file to its end, and tells what it comes to, and whether that was said before.
func upload(ctx context.Context, batches billingv1.BatchServiceClient, c *http.ResponseController, r *http.Request) (*billingv1.UploadBatchResponse, bool, error) {
	first := &billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Header{Header: &billingv1.BatchHeader{}}}
	if err := (strictQuery{}).Parse(first, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
		if _, ours := rpcerr.FromError(err); !ours {
			err = rpcerr.New(rpcerr.RequestMalformed, "%v", err)
		}
		return nil, false, err
	}
	if key := r.Header.Get(keyHeader); key != "" {
		if err := setKey(first, key); err != nil {
			return nil, false, err
		}
	}
	stream, err := batches.UploadBatch(ctx)
	if err != nil {
		return nil, false, err
	}
	err = stream.Send(first)
	piece := make([]byte, pieceSize)
	for ended := false; err == nil && !ended; {
		if err := errors.Join(c.SetReadDeadline(time.Now().Add(exchangeLimit)), ctx.Err()); err != nil {
			return nil, false, err
		}
		n, readErr := r.Body.Read(piece) // not io.ReadFull, for which a body that is cut off ends like any other
		if ended = errors.Is(readErr, io.EOF); readErr != nil && !ended {
			return nil, false, rpcerr.New(rpcerr.RequestMalformed, "the body ended too early")
		}
		if n > 0 {
			err = stream.Send(&billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: piece[:n]}})
		}
	}
	planned, err := stream.CloseAndRecv() // which says why, if nothing more could be sent
	if err != nil {
		return nil, false, err
	}
	header, err := stream.Header()
	return planned, len(header.Get(replayedHeader)) > 0, err
}
