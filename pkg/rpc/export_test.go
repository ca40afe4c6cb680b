package rpc

import (
	"net"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/pkg/shed"
)

// Gather has connections read as a server with a gate does.
func Gather(l net.Listener, gate *shed.Gate) net.Listener { return gatherer{l, gate} }

// Receive reads an encoded message as a server does.
func Receive(raw []byte, message proto.Message) error {
	return receive(message, func(v any) error {
		return codec{encoding.GetCodecV2("proto")}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, v)
	})
}
