package bus

import "google.golang.org/protobuf/proto"

// Payload encodes an event's message. It panics for a message that cannot be encoded, which only one with text
// that is not UTF-8 is; text is checked where it comes in.
func Payload(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
