package rpc

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Receive reads an encoded message as a server does.
func Receive(raw []byte, message proto.Message) error {
	return receive(message, func(v any) error {
		return codec{encoding.GetCodecV2("proto")}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, v)
	})
}
