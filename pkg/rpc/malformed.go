package rpc

import (
	"context"
	"fmt"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// codec is grpc-go's own, except that a message it cannot decode keeps its bytes as unknown fields, so that
// the field which is wrong can be named.
type codec struct{ encoding.CodecV2 }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	if m, ok := v.(proto.Message); ok && err != nil {
		proto.Reset(m)
		m.ProtoReflect().SetUnknown(data.Materialize())
	}
	return err
}

// refuseMalformed makes a request that cannot be decoded the client's error, with reason and field; grpc-go
// would call it INTERNAL.
func refuseMalformed(h grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		return h(srv, ctx, func(v any) error {
			if dec(v) == nil {
				return nil
			}
			return malformed(v).GRPCStatus().Err()
		}, in)
	}
}

func malformed(v any) *rpcerr.Error {
	if m, ok := v.(proto.Message); ok {
		if path := invalidUTF8(m.ProtoReflect().Descriptor(), m.ProtoReflect().GetUnknown(), ""); path != "" {
			return rpcerr.ForField(rpcerr.RequestMalformed, path, "is not valid UTF-8")
		}
	}
	return rpcerr.New(rpcerr.RequestMalformed, "the request is not a valid protobuf message")
}

// invalidUTF8 gives the path of the first string in an encoded message that is not UTF-8, or "".
func invalidUTF8(md protoreflect.MessageDescriptor, raw []byte, prefix string) string {
	seen := map[protowire.Number]int{}
	for len(raw) > 0 {
		number, wire, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return ""
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(number, wire, raw); n < 0 {
			return ""
		}
		value := raw[:n]
		raw = raw[n:]
		fd := md.Fields().ByNumber(number)
		if fd == nil || wire != protowire.BytesType {
			continue
		}
		path := prefix + string(fd.Name())
		if fd.IsList() {
			path = fmt.Sprintf("%s[%d]", path, seen[number])
			seen[number]++
		}
		content, _ := protowire.ConsumeBytes(value)
		switch {
		case fd.Kind() == protoreflect.StringKind && !utf8.Valid(content):
			return path
		case fd.Kind() == protoreflect.MessageKind:
			if bad := invalidUTF8(fd.Message(), content, path+"."); bad != "" {
				return bad
			}
		}
	}
	return ""
}
