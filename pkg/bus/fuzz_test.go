package bus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/bus"
)

// FuzzDecode reads messages that anybody put into the stream: what is taken for an event could be published again as the
// same event.
func FuzzDecode(f *testing.F) {
	h := bus.Encode(captured()).Header
	f.Add(h.Get("ce-id"), h.Get("ce-source"), h.Get("ce-type"), h.Get("ce-subject"), h.Get("ce-time"), h.Get("ce-reference"), h.Get("traceparent"), []byte("data"))
	f.Add("{"+h.Get("ce-id")+"}", "/tieout/a", "tieout.a.b.c.v1", "%25%20", "0000-01-01T00:00:00+01:00", "", "", []byte(nil))
	f.Add(h.Get("ce-id"), "/tieout/a", "tieout.a.b.c.v1", "%25.*", "9999-12-31T23:59:59-01:00", "%c3%a4", "00-1", []byte(nil))
	f.Add(h.Get("ce-id"), "/tieout/a.b", "tieout.a.b.c.d.v1", "%zz", h.Get("ce-time"), "%ff", "\x7f", []byte(nil))
	f.Fuzz(func(t *testing.T, eventID, source, kind, subject, at, reference, traceparent string, data []byte) {
		e, err := bus.Decode(nats.Header{
			"ce-specversion": {"1.0"}, "content-type": {"application/protobuf"}, "ce-id": {eventID}, "ce-source": {source}, "ce-type": {kind},
			"ce-subject": {subject}, "ce-time": {at}, "ce-reference": {reference}, "traceparent": {traceparent},
		}, data)
		if err != nil {
			return
		}
		if err := e.Validate(); err != nil {
			t.Errorf("was taken, and cannot be published: %v", err)
		}
		m := bus.Encode(e)
		again, err := bus.Decode(m.Header, m.Data)
		if diff := cmp.Diff(e, again); diff != "" || err != nil {
			t.Errorf("published again: %v (-first +again):\n%s", err, diff)
		}
	})
}
