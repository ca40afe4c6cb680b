package rpc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	optionsv1 "github.com/tieout/tieout/gen/tieout/options/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/rpc"
)

func TestServer_ListsItsServicesByReflection(t *testing.T) {
	t.Parallel()
	f := setup(t, &warehouse{}, &orders{})
	stream, err := reflectionv1.NewServerReflectionClient(f.stranger()).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"tieout.inventory.v1.InventoryService", "tieout.order.v1.OrderService"} {
		if !slices.Contains(names, want) {
			t.Errorf("got %v, want %s among them", names, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

func TestServer_RefusesToServeAMethodWithoutOptions(t *testing.T) {
	t.Parallel()
	method := grpc.MethodDesc{MethodName: "Do", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
		return nil, nil
	}}
	stream := grpc.StreamDesc{StreamName: "Follow", ServerStreams: true}
	for name, test := range map[string]struct {
		desc   grpc.ServiceDesc
		refuse string
	}{
		"a unary method of ours":    {grpc.ServiceDesc{ServiceName: "tieout.bogus.v1.Bogus", Methods: []grpc.MethodDesc{method}}, "tieout.bogus.v1.Bogus/Do"},
		"a stream of ours":          {grpc.ServiceDesc{ServiceName: "tieout.bogus.v1.Bogus", Streams: []grpc.StreamDesc{stream}}, "tieout.bogus.v1.Bogus/Follow"},
		"a method of somebody else": {grpc.ServiceDesc{ServiceName: "other.v1.Service", Methods: []grpc.MethodDesc{method}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				refusal := recover()
				if test.refuse == "" && refusal != nil {
					t.Errorf("refused: %v", refusal)
				}
				if test.refuse != "" && !strings.Contains(fmt.Sprint(refusal), test.refuse) {
					t.Errorf("got %v, want a refusal that names %s", refusal, test.refuse)
				}
			}()
			newServer(t, &logtest.Book{}).RegisterService(&test.desc, nil)
		})
	}
}

func TestOptions_AreThoseOfTheProto(t *testing.T) {
	t.Parallel()
	reserve := rpc.Options(inventoryv1.InventoryService_Reserve_FullMethodName)
	if reserve.GetRole() != optionsv1.Role_ROLE_SERVICE || !reserve.GetRequiresIdempotencyKey() || reserve.GetDefaultDeadline().GetSeconds() != 5 {
		t.Errorf("Reserve: got %v", reserve)
	}
	if watch := rpc.Options(orderv1.OrderService_WatchOrder_FullMethodName); watch == nil || watch.GetDefaultDeadline() != nil {
		t.Errorf("WatchOrder: got %v, want options without a deadline", watch)
	}
	for _, method := range []string{"", "/", "nonsense", "/grpc.health.v1.Health/Check", "/tieout.inventory.v1.Stock/Reserve", "/tieout.inventory.v1.InventoryService/Nothing"} {
		if got := rpc.Options(method); got != nil {
			t.Errorf("%q: got %v, want none", method, got)
		}
	}
}
