package bus

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

const (
	specVersion  = "1.0"
	contentType  = "application/protobuf"
	sourcePrefix = "/tieout/"
	typePrefix   = "tieout."
	typeSuffix   = ".v1"
)

// HeaderTraceparent carries the W3C trace context of the writer.
const HeaderTraceparent = "traceparent"

// The headers of the binding. NATS compares header names by case.
const (
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerSource      = "ce-source"
	headerType        = "ce-type"
	headerSubject     = "ce-subject"
	headerTime        = "ce-time"
	headerReference   = "ce-reference"
	headerContentType = "content-type"
	headerTracestate  = "tracestate"
)

// Encode renders e, which Validate accepts, as a message ready to be published.
func Encode(e Event) *nats.Msg {
	h := nats.Header{
		headerSpecVersion: {specVersion},
		headerID:          {e.ID.String()},
		headerSource:      {e.Source()},
		headerType:        {e.Type()},
		headerSubject:     {escapeHeader(e.Subject)},
		headerTime:        {e.Time.UTC().Format(time.RFC3339Nano)},
		headerContentType: {contentType},
		nats.MsgIdHdr:     {e.ID.String()},
		headerReference:   {escapeHeader(e.Reference)},
		HeaderTraceparent: {e.Traceparent},
		headerTracestate:  {e.Tracestate},
	}
	for _, optional := range []string{headerReference, HeaderTraceparent, headerTracestate} {
		if h.Get(optional) == "" {
			h.Del(optional)
		}
	}
	return &nats.Msg{Subject: e.NATSSubject(), Header: h, Data: e.Data}
}

// Decode reads an event from a message's headers and data. What is not a CloudEvent of ours is an error that names
// the attribute.
func Decode(h nats.Header, data []byte) (Event, error) {
	if v := h.Get(headerSpecVersion); v != specVersion {
		return Event{}, attribute("specversion", v, "is not 1.0")
	}
	if v := h.Get(headerContentType); v != contentType {
		return Event{}, attribute("datacontenttype", v, "is not "+contentType)
	}
	e := Event{Traceparent: h.Get(HeaderTraceparent), Tracestate: h.Get(headerTracestate), Data: data}
	var err error
	if e.ID, err = uuid.Parse(h.Get(headerID)); err != nil {
		return Event{}, attribute("id", h.Get(headerID), "is not a UUID")
	}
	if err := e.setType(h.Get(headerType)); err != nil {
		return Event{}, err
	}
	if v := h.Get(headerSource); v != e.Source() {
		return Event{}, attribute("source", v, "is not "+e.Source())
	}
	if e.Subject, err = unescapeHeader(h, headerSubject); err != nil || e.Subject == "" {
		return Event{}, attribute("subject", h.Get(headerSubject), "is empty or not percent-encoded")
	}
	if e.Reference, err = unescapeHeader(h, headerReference); err != nil {
		return Event{}, attribute("reference", h.Get(headerReference), "is not percent-encoded")
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, h.Get(headerTime)); err != nil {
		return Event{}, attribute("time", h.Get(headerTime), "is not RFC 3339")
	}
	return e, e.Validate()
}

// setType takes service, entity and name out of a CloudEvents type.
func (e *Event) setType(t string) error {
	inner, isOurs := strings.CutPrefix(t, typePrefix)
	inner, isV1 := strings.CutSuffix(inner, typeSuffix)
	words := strings.Split(inner, ".")
	if !isOurs || !isV1 || len(words) != 3 {
		return attribute("type", t, "is not tieout.<service>.<entity>.<name>.v1")
	}
	e.Service, e.Entity, e.Name = words[0], words[1], words[2]
	return nil
}

func attribute(name, value, problem string) error {
	return fmt.Errorf("cloudevents attribute %s: %q %s", name, value, problem)
}

func escapeHeader(s string) string { return escape(s, `"%`) }

func unescapeHeader(h nats.Header, name string) (string, error) {
	return url.PathUnescape(h.Get(name))
}

// escape percent-encodes every byte of s that is not visible ASCII or is one of special.
func escape(s, special string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c > ' ' && c < 0x7f && strings.IndexByte(special, c) < 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
