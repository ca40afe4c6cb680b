package arch

import (
	"path"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/tieout/tieout/gen/tieout/audit/v1"
	_ "github.com/tieout/tieout/gen/tieout/billing/v1"
	_ "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	_ "github.com/tieout/tieout/gen/tieout/event/v1"
	_ "github.com/tieout/tieout/gen/tieout/inventory/v1"
	optionsv1 "github.com/tieout/tieout/gen/tieout/options/v1"
	_ "github.com/tieout/tieout/gen/tieout/order/v1"
	_ "github.com/tieout/tieout/gen/tieout/payment/v1"
	_ "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	_ "github.com/tieout/tieout/gen/tieout/recurring/v1"
	_ "github.com/tieout/tieout/gen/tieout/saga/v1"
	_ "github.com/tieout/tieout/gen/tieout/shipment/v1"
	_ "github.com/tieout/tieout/gen/tieout/trace/v1"
)

// reads are how the methods begin that change nothing. All others do, and are called again after a lost
// answer. Simulate says what would come of something, and Verify does again what was done, to compare.
var reads = []string{"Get", "BatchGet", "List", "Watch", "Lookup", "Inquire", "Track", "Explain", "RunAudit", "Simulate", "Verify"}

func TestContracts_AreAllUnderTheseRules(t *testing.T) {
	t.Parallel()
	for name := range house(t).texts {
		file, ours := strings.CutPrefix(name, "proto/")
		if !ours || path.Ext(file) != ".proto" {
			continue
		}
		if _, err := protoregistry.GlobalFiles.FindFileByPath(file); err != nil {
			t.Errorf("%s:1: every contract is held by the rules of proto_test.go: import its generated package there", name)
		}
	}
}

func TestMethods_DeclareWhatTheServerMustKnow(t *testing.T) {
	t.Parallel()
	eachMethod(func(method protoreflect.MethodDescriptor) {
		at := where(t, method)
		if !proto.HasExtension(method.Options(), optionsv1.E_Method) {
			t.Errorf("%s: every method carries the option (tieout.options.v1.method)", at)
			return
		}
		options := methodOptions(method)
		streaming := method.IsStreamingClient() || method.IsStreamingServer()
		if options.GetRole() == optionsv1.Role_ROLE_UNSPECIFIED {
			t.Errorf("%s: every method declares its role", at)
		}
		if options.GetPriority() == optionsv1.Priority_PRIORITY_UNSPECIFIED {
			t.Errorf("%s: every method declares its priority", at)
		}
		if !streaming && options.GetDefaultDeadline().AsDuration() <= 0 {
			t.Errorf("%s: every unary method declares a default deadline", at)
		}
		if streaming && options.DefaultDeadline != nil {
			t.Errorf("%s: a stream lives until either side ends it: it has no default deadline", at)
		}
	})
}

func TestMethods_ThatChangeSomethingTakeAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	eachMethod(func(method protoreflect.MethodDescriptor) {
		required := methodOptions(method).GetRequiresIdempotencyKey()
		if takes := has(method.Input(), "idempotency_key"); takes != required {
			t.Errorf("%s: requires_idempotency_key is %t, the request has a field idempotency_key: %t; they agree",
				where(t, method), required, takes)
		}
		if !isRead(method) && !required && !isBatchOfKeyed(method) {
			t.Errorf("%s: a method that is not a read (%s), nor a batch of requests that each do, requires an idempotency key",
				where(t, method), strings.Join(reads, ", "))
		}
	})
}

// isBatchOfKeyed says whether the method takes many of the requests of a method that requires a key: to do them, or to
// look up what became of them.
func isBatchOfKeyed(method protoreflect.MethodDescriptor) bool {
	name, ok := strings.CutPrefix(string(method.Name()), "Batch")
	name = strings.TrimPrefix(name, "LookUp")
	single := method.Parent().(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	items := method.Input().Fields().ByName("requests")
	return ok && single != nil && methodOptions(single).GetRequiresIdempotencyKey() &&
		items != nil && items.IsList() && items.Message() == single.Input()
}

func TestMethods_ThatListGivePages(t *testing.T) {
	t.Parallel()
	eachMethod(func(method protoreflect.MethodDescriptor) {
		if !strings.HasPrefix(string(method.Name()), "List") {
			return
		}
		if !has(method.Input(), "page_size", "page_token") || !has(method.Output(), "next_page_token") {
			t.Errorf("%s: a list takes page_size and page_token and returns next_page_token", where(t, method))
		}
	})
}

// eachMethod calls visit for every method of our services.
func eachMethod(visit func(protoreflect.MethodDescriptor)) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "tieout.") {
			for i := range file.Services().Len() {
				methods := file.Services().Get(i).Methods()
				for j := range methods.Len() {
					visit(methods.Get(j))
				}
			}
		}
		return true
	})
}

func methodOptions(method protoreflect.MethodDescriptor) *optionsv1.MethodOptions {
	return proto.GetExtension(method.Options(), optionsv1.E_Method).(*optionsv1.MethodOptions)
}

func isRead(method protoreflect.MethodDescriptor) bool {
	for _, verb := range reads {
		if strings.HasPrefix(string(method.Name()), verb) {
			return true
		}
	}
	return false
}

// has says whether message has all the fields.
func has(message protoreflect.MessageDescriptor, fields ...protoreflect.Name) bool {
	for _, field := range fields {
		if message.Fields().ByName(field) == nil {
			return false
		}
	}
	return true
}

// where is file and line of the method's declaration, and its name.
func where(t *testing.T, method protoreflect.MethodDescriptor) string {
	t.Helper()
	name := "proto/" + method.ParentFile().Path()
	return place(name, house(t).texts[name], "rpc "+string(method.Name())+"(") + " " + string(method.FullName())
}
