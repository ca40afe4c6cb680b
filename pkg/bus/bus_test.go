package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
)

func captured() bus.Event {
	return bus.Event{
		ID:          uuid.MustParse("01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f"),
		Service:     "payment",
		Entity:      "payment",
		Name:        "captured",
		Subject:     "pay_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e60",
		Reference:   "ord_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e61",
		Time:        time.Date(2026, 3, 1, 12, 30, 45, 123456789, time.UTC),
		Data:        []byte{0x0a, 0x00, 0xff},
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Tracestate:  "vendor=value",
	}
}

func TestEncode_WritesTheCloudEventsBinding(t *testing.T) {
	t.Parallel()
	got := bus.Encode(captured())
	want := &nats.Msg{
		Subject: "evt.payment.payment.captured.pay_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e60",
		Header: nats.Header{
			"ce-specversion": {"1.0"},
			"ce-id":          {"01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f"},
			"ce-source":      {"/tieout/payment"},
			"ce-type":        {"tieout.payment.payment.captured.v1"},
			"ce-subject":     {"pay_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e60"},
			"ce-time":        {"2026-03-01T12:30:45.123456789Z"},
			"ce-reference":   {"ord_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e61"},
			"content-type":   {"application/protobuf"},
			"traceparent":    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
			"tracestate":     {"vendor=value"},
			"Nats-Msg-Id":    {"01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f"},
		},
		Data: []byte{0x0a, 0x00, 0xff},
	}
	if diff := cmp.Diff(want.Header, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Subject != want.Subject || string(got.Data) != string(want.Data) {
		t.Errorf("got %q %x, want %q %x", got.Subject, got.Data, want.Subject, want.Data)
	}
}

func TestEvent_SurvivesTheStream(t *testing.T) {
	t.Parallel()
	plain := captured()
	bare := captured()
	bare.ID, bare.Reference, bare.Traceparent, bare.Tracestate, bare.Data = uuid.New(), "", "", "", []byte{}
	odd := captured()
	odd.ID = uuid.New()
	odd.Subject, odd.Reference = `Teedose "groß" 10.5 % > * 日本`, "line\r\nbreak: \t\x01"

	js := bustest.JetStream(t)
	stream, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bus.Event{plain, bare, odd} {
		ack, err := js.PublishMsg(t.Context(), bus.Encode(want))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := stream.GetMsg(t.Context(), ack.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bus.Decode(raw.Header, raw.Data)
		if err != nil {
			t.Fatal(err)
		}
		if got.Data == nil {
			got.Data = []byte{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
}

func TestDecode_NamesTheAttributeThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ header, value, names string }{
		"no spec version":   {"ce-specversion", "", "specversion"},
		"other version":     {"ce-specversion", "0.3", "specversion"},
		"other content":     {"content-type", "application/json", "datacontenttype"},
		"id is no uuid":     {"ce-id", "42", "id"},
		"nil id":            {"ce-id", uuid.Nil.String(), "id"},
		"foreign type":      {"ce-type", "com.example.thing.v1", "type"},
		"type lacks a word": {"ce-type", "tieout.payment.captured.v1", "type"},
		"type of version 2": {"ce-type", "tieout.payment.payment.captured.v2", "type"},
		"type in capitals":  {"ce-type", "tieout.payment.Payment.captured.v1", "entity"},
		"source of another": {"ce-source", "/tieout/inventory", "source"},
		"no subject":        {"ce-subject", "", "subject"},
		"broken subject":    {"ce-subject", "pay_%zz", "subject"},
		"subject not utf-8": {"ce-subject", "%ff", "subject"},
		"broken reference":  {"ce-reference", "%", "reference"},
		"no time":           {"ce-time", "", "time"},
		"local time":        {"ce-time", "2026-03-01 12:30", "time"},
		"trace not ascii":   {"traceparent", "00-ä", "traceparent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := bus.Encode(captured())
			msg.Header.Set(c.header, c.value)
			_, err := bus.Decode(msg.Header, msg.Data)
			if err == nil || !strings.Contains(err.Error(), "attribute "+c.names+":") {
				t.Errorf("got error %v, want one that names attribute %s", err, c.names)
			}
		})
	}
}

func TestValidate_RefusesWhatNATSWouldRefuse(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*bus.Event){
		"service": func(e *bus.Event) { e.Service = "pay.ment" },
		"entity":  func(e *bus.Event) { e.Entity = "" },
		"name":    func(e *bus.Event) { e.Name = "*" },
		"subject": func(e *bus.Event) { e.Subject = strings.Repeat("x", 2000) },
		"data":    func(e *bus.Event) { e.Data = make([]byte, bus.MaxData+1) },
		"time":    func(e *bus.Event) { e.Time = time.Time{} },
	} {
		e := captured()
		spoil(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), "attribute "+name+":") {
			t.Errorf("got error %v, want one that names attribute %s", err, name)
		}
	}
	if err := captured().Validate(); err != nil {
		t.Errorf("got %v, want a valid event", err)
	}
}

func TestEnsureStream_UpdatesWithoutLosingEvents(t *testing.T) {
	t.Parallel()
	js := bustest.Connect(t, bustest.Server(t))
	older := jetstream.StreamConfig{Name: bus.Stream, Subjects: []string{"evt.>"}, MaxAge: time.Hour}
	if _, err := js.CreateStream(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(t.Context(), bus.Encode(captured())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := bus.EnsureStream(t.Context(), js, 1); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	info := stream.CachedInfo()
	if info.State.Msgs != 1 || info.Config.MaxAge != 30*24*time.Hour || info.Config.Duplicates != 2*time.Minute {
		t.Errorf("got %d messages, settings %+v", info.State.Msgs, info.Config)
	}
}
