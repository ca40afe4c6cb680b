package web

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// watches opens watches at the orchestrator.
type watches struct{ client orderv1.OrderServiceClient }

func newWatches(p peers) watches { return watches{orderv1.NewOrderServiceClient(p.orchestrator)} }

// frame is what a client is told.
type frame struct {
	cursor string
	order  bool   // it tells how the order stands; else it is a heartbeat
	json   []byte // the orchestrator's answer
}

// listener is a client that is told, over whichever protocol.
type listener interface {
	// tell tells a frame; its error means that the client is gone, or does not read.
	tell(frame) error
	// end ends the connection: nil when the order has ended, and what else happened. The client goes on behind the cursor.
	end(why *rpcerr.Error, cursor string)
}

// watchOrder serves a watch of an order, over WebSocket or as server-sent events, from its beginning or behind a cursor:
// the header Last-Event-ID, or the parameter cursor.
func (g *gateway) watchOrder(w http.ResponseWriter, r *http.Request) {
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
	stream, err := g.orders.client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: r.PathValue("order_id"), Cursor: cursor})
	if err != nil {
		writeError(w, g.whyEnded(err))
		return
	}
	first, err := stream.Recv() // what there is, or that there is nothing new, comes at once
	if err != nil && !errors.Is(err, io.EOF) {
		writeError(w, g.whyEnded(err))
		return
	}
	var to listener
	if isWebSocket(r) {
		to, err = g.openSocket(w, r, cancel)
	} else {
		to, err = g.openEvents(w, first != nil)
	}
	if err != nil || to == nil {
		return // it was answered
	}
	at, why := g.follow(stream, first, to)
	cancel() // how long the client takes to part is not the orchestrator's
	to.end(why, cmp.Or(at, cursor))
}

// follow tells a listener of a watch until either ends. It gives the cursor of what was told last, and why it ended: nil when
// the order has ended.
func (g *gateway) follow(stream grpc.ServerStreamingClient[orderv1.WatchOrderResponse], answer *orderv1.WatchOrderResponse, to listener) (cursor string, why *rpcerr.Error) {
	for answer != nil {
		f, err := frameOf(answer)
		if err != nil {
			return cursor, rpcerr.New(rpcerr.Internal, "the order cannot be told")
		}
		if err := to.tell(f); err != nil {
			return cursor, rpcerr.New(rpcerr.WatchNotRead, "nothing was read for %s; watch again behind the cursor", g.watch.Patience)
		}
		cursor = cmp.Or(f.cursor, cursor)
		if answer, err = stream.Recv(); err != nil {
			return cursor, g.whyEnded(err)
		}
	}
	return cursor, nil
}

// whyEnded is why a watch has ended at the orchestrator, as the client is told.
func (g *gateway) whyEnded(err error) *rpcerr.Error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case g.draining.Err() != nil:
		return rpcerr.New(rpcerr.ShuttingDown, "the gateway is stopping; watch again behind the cursor")
	}
	e, ours := rpcerr.FromError(err)
	switch {
	case ours:
	case status.Code(err) == codes.Unavailable:
		e = rpcerr.New(rpcerr.DestinationDown, "the orchestrator does not answer; watch again behind the cursor")
		e.RetryAfter = g.watch.Retry
	default:
		e, _ = rpcerr.FromError(rpcerr.ToStatus(err).Err())
	}
	return e
}

func frameOf(answer *orderv1.WatchOrderResponse) (frame, error) {
	raw, err := marshaling.Marshal(answer)
	return frame{cursor: answer.GetCursor(), order: answer.GetOrder() != nil, json: raw}, err
}
