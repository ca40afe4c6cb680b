package rpc_test

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

// watch gives the error that a WatchOrder ends with before its first answer.
func (f fixture) watch(r *orderv1.WatchOrderRequest) error {
	f.Helper()
	stream, err := orderv1.NewOrderServiceClient(f.dial(nil)).WatchOrder(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	_, err = stream.Recv()
	return err
}

func TestStream_ChecksTheRequest(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	rpcerrtest.Want(t, f.watch(&orderv1.WatchOrderRequest{}), rpcerr.RequestInvalid, "order_id")
}

func TestStream_BlamesTheClientForWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	f := setupUnreached(t)
	conn := f.dial(nil)
	for name, test := range map[string]struct {
		raw  []byte
		want []string
	}{
		"bad UTF-8": {protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "ord_\xff"), []string{"order_id"}},
		"garbage":   {[]byte("\xff\xff\xff\xff"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true},
				orderv1.OrderService_WatchOrder_FullMethodName, grpc.ForceCodecV2(passThrough{}))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(stream.SendMsg(&test.raw), stream.CloseSend()); err != nil {
				t.Fatal(err)
			}
			rpcerrtest.Want(t, stream.RecvMsg(new([]byte)), rpcerr.RequestMalformed, test.want...)
		})
	}
}

func TestStream_AnswersErrorsAndPanicsAsUnaryCallsDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func() error
		want rpcerr.Reason
	}{
		"a reason":          {func() error { return rpcerr.New(rpcerr.ShuttingDown, "stopping") }, rpcerr.ShuttingDown},
		"an internal error": {func() error { return errors.New(secret) }, rpcerr.Internal},
		"a panic":           {func() error { panic(secret) }, rpcerr.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, &warehouse{}, &orders{
				watch: func(*orderv1.WatchOrderRequest, grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
					return test.end()
				},
			})
			err := f.watch(&orderv1.WatchOrderRequest{OrderId: "ord_1"})
			rpcerrtest.Want(t, err, test.want)
			wantNoSecret(t, err)
		})
	}
}

func TestStream_ReachesItsHandlerAndEndsWell(t *testing.T) {
	t.Parallel()
	var caller string
	f := setup(t, &warehouse{}, &orders{
		watch: func(r *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
			caller = rpc.Caller(s.Context())
			return s.Send(&orderv1.WatchOrderResponse{Order: &orderv1.Order{OrderId: r.GetOrderId()}})
		},
	})
	stream, err := orderv1.NewOrderServiceClient(f.dial(nil)).WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: "ord_1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || got.GetOrder().GetOrderId() != "ord_1" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("at the end: got %v, want EOF", err)
	}
	if caller != "orchestrator" {
		t.Errorf("the handler sees caller %q", caller)
	}
}
