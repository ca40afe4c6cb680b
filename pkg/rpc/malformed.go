package rpc

import (
	"bytes"
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

// decoding is a message to be decoded and what came of it. Text that is not UTF-8 cannot be decoded; text with a NUL
// can, and then cannot be stored. Where a codec fails, grpc-go ends the call in its own
// words, which blame the server: so the codec does not.
type decoding struct {
	message any
	raw     []byte // the encoded message, where it has to be looked into
	err     error
}

// codec is grpc-go's own, which can decode into a decoding as well.
type codec struct{ encoding.CodecV2 }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	d, ok := v.(*decoding)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if d.err = c.CodecV2.Unmarshal(data, d.message); d.err != nil || holdsNUL(data) {
		d.raw = data.Materialize()
	}
	return nil
}

// holdsNUL tells whether there is a zero byte in an encoded message; only then a string of it can hold a NUL.
func holdsNUL(data mem.BufferSlice) bool {
	for _, b := range data {
		if bytes.IndexByte(b.ReadOnlyData(), 0) >= 0 {
			return true
		}
	}
	return false
}

// receive gets a message by a function that decodes. One that cannot be decoded is the client's mistake:
// REQUEST_MALFORMED, with the field if there is one to blame.
func receive(message any, decode func(any) error) error {
	d := decoding{message: message}
	if err := decode(&d); err != nil {
		return err
	}
	if d.raw != nil {
		return malformed(d)
	}
	return nil
}

// receiving is a unary handler that gets its request by receive.
func receiving(h grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		return h(srv, ctx, func(request any) error { return receive(request, decode) }, in)
	}
}

func malformed(d decoding) error {
	if m, ok := d.message.(proto.Message); ok {
		if path, why := badText(m.ProtoReflect().Descriptor(), d.raw, ""); path != "" {
			return rpcerr.ForField(rpcerr.RequestMalformed, path, "%s", why)
		}
	}
	if d.err == nil {
		return nil
	}
	return rpcerr.New(rpcerr.RequestMalformed, "the request is not a valid protobuf message")
}

// badText gives the path of the first string in an encoded message that is not UTF-8 or holds a NUL, and which.
func badText(md protoreflect.MessageDescriptor, raw []byte, prefix string) (path, why string) {
	seen := map[protowire.Number]int{}
	for len(raw) > 0 {
		number, wire, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return "", ""
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(number, wire, raw); n < 0 {
			return "", ""
		}
		value := raw[:n]
		raw = raw[n:]
		fd := md.Fields().ByNumber(number)
		if fd == nil || wire != protowire.BytesType {
			continue
		}
		path = prefix + string(fd.Name())
		if fd.IsList() {
			path = fmt.Sprintf("%s[%d]", path, seen[number])
			seen[number]++
		}
		content, _ := protowire.ConsumeBytes(value)
		switch {
		case fd.Kind() == protoreflect.StringKind && !utf8.Valid(content):
			return path, "is not valid UTF-8"
		case fd.Kind() == protoreflect.StringKind && bytes.IndexByte(content, 0) >= 0:
			return path, "holds a NUL character"
		case fd.Kind() == protoreflect.MessageKind:
			if bad, why := badText(fd.Message(), content, path+"."); bad != "" {
				return bad, why
			}
		}
	}
	return "", ""
}
