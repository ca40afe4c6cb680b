package rpc

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/tieout/tieout/gen/tieout/options/v1"
)

// Options gives the declared options of a method by its full gRPC name, "/tieout.order.v1.OrderService/GetOrder".
// Methods that are not ours (health, reflection) have none: nil.
func Options(fullMethod string) *optionsv1.MethodOptions {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		return nil
	}
	o, _ := proto.GetExtension(md.Options(), optionsv1.E_Method).(*optionsv1.MethodOptions)
	return o
}

// checkDeclared refuses to serve a method of ours that declares no options.
func checkDeclared(service string, methods []string) error {
	if !strings.HasPrefix(service, "tieout.") {
		return nil
	}
	for _, m := range methods {
		if Options("/"+service+"/"+m) == nil {
			return fmt.Errorf("method %s/%s declares no options", service, m)
		}
	}
	return nil
}

// defaultDeadline is how long a call may take that brings no deadline; zero when the method has none.
func defaultDeadline(o *optionsv1.MethodOptions) time.Duration {
	return o.GetDefaultDeadline().AsDuration()
}
