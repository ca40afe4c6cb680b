package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// frame is what a client is told.
type frame struct {
	cursor string
	news   bool   // it tells how the thing stands; else it is a heartbeat
	json   []byte // the server's answer
}

// source gives what a watch tells, one frame after the other, and io.EOF at its end.
type source func() (frame, error)

// watched is a kind of thing that clients watch.
type watched struct {
	name   string // of its events
	server string // who tells
	// open begins a watch of the one with an id, behind a cursor.
	open func(ctx context.Context, id, cursor string) (source, error)
}

// watchedOrders are told by the orchestrator, with cursors and heartbeats.
func watchedOrders(p peers) watched {
	client := orderv1.NewOrderServiceClient(p.orchestrator)
	return watched{"order", "the orchestrator", func(ctx context.Context, id, cursor string) (source, error) {
		stream, err := client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: id, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		return func() (frame, error) {
			answer, err := stream.Recv()
			if err != nil {
				return frame{}, err
			}
			return frameOf(answer, frame{cursor: answer.GetCursor(), news: answer.GetOrder() != nil})
		}, nil
	}}
}

// watchedBatches are told by billing, as they stand. What is told again is a heartbeat here, and the cursor is a digest of what was
// told: who has seen how a batch ended is not told once more.
func watchedBatches(p peers) watched {
	client := billingv1.NewBatchServiceClient(p.billing)
	return watched{"batch", "billing", func(ctx context.Context, id, cursor string) (source, error) {
		stream, err := client.WatchBatch(ctx, &billingv1.WatchBatchRequest{BatchId: id})
		if err != nil {
			return nil, err
		}
		return func() (frame, error) {
			for {
				answer, err := stream.Recv()
				if err != nil {
					return frame{}, err
				}
				f, err := frameOf(answer, frame{})
				if err != nil {
					return frame{}, err
				}
				digest := sha256.Sum256(f.json)
				f.cursor = base64.RawURLEncoding.EncodeToString(digest[:16])
				f.news, cursor = f.cursor != cursor, f.cursor
				if f.news || !hasEnded(answer.GetBatch()) {
					return f, nil
				}
			}
		}, nil
	}}
}

func hasEnded(b *billingv1.Batch) bool {
	return b.GetState() == billingv1.BatchState_BATCH_STATE_FINISHED || b.GetState() == billingv1.BatchState_BATCH_STATE_CANCELLED
}

func frameOf(answer proto.Message, f frame) (_ frame, err error) {
	if f.json, err = marshaling.Marshal(answer); err != nil {
		return f, rpcerr.New(rpcerr.Internal, "the answer cannot be told")
	}
	return f, nil
}

// listener is a client that is told, over whichever protocol.
type listener interface {
	// tell tells a frame; its error means that the client is gone, or does not read.
	tell(frame) error
	// end ends the connection: nil when the watch has come to its end, and what else happened. The client goes on behind the cursor.
	end(why *rpcerr.Error, cursor string)
}

// watching serves watches, over WebSocket or as server-sent events, from the beginning or behind a cursor: the header
// Last-Event-ID, or the parameter cursor.
func (g *gateway) watching(of watched) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		leave, err := g.seats.take(seatOf(r))
		if err != nil {
			writeError(w, err)
			return
		}
		defer leave()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(g.draining, cancel)()
		cursor := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("cursor"))
		next, err := of.open(ctx, r.PathValue("id"), cursor)
		if err != nil {
			writeError(w, g.whyEnded(of, err))
			return
		}
		first, err := next() // what there is, or that there is nothing new, comes at once
		if err != nil && !errors.Is(err, io.EOF) {
			writeError(w, g.whyEnded(of, err))
			return
		}
		var to listener
		var refused error
		if isWebSocket(r) {
			to, refused = g.openSocket(w, r, cancel)
		} else {
			to, refused = g.openEvents(w, of.name, err == nil)
		}
		if refused != nil || to == nil {
			return // it was answered
		}
		for ; err == nil; first, err = next() {
			if to.tell(first) != nil {
				err = rpcerr.New(rpcerr.WatchNotRead, "nothing was read for %s; watch again behind the cursor", g.watch.Patience)
				break
			}
			cursor = cmp.Or(first.cursor, cursor)
		}
		why := g.whyEnded(of, err)
		cancel() // how long the client takes to part is not the server's
		to.end(why, cursor)
	}
}

// whyEnded is why a watch has ended at its server, as the client is told.
func (g *gateway) whyEnded(of watched, err error) *rpcerr.Error {
	e, ours := rpcerr.FromError(err)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ours && e.Reason == rpcerr.WatchNotRead:
	case g.draining.Err() != nil:
		return rpcerr.New(rpcerr.ShuttingDown, "the gateway is stopping; watch again behind the cursor")
	case ours:
	case status.Code(err) == codes.Unavailable:
		e = rpcerr.New(rpcerr.DestinationDown, "%s does not answer; watch again behind the cursor", of.server)
		e.RetryAfter = g.watch.Retry
	default:
		e, _ = rpcerr.FromError(rpcerr.ToStatus(err).Err())
	}
	return e
}
