package bus

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// MaxData is the largest payload of an event in bytes: half of what NATS takes by default, which leaves the headers
// all the room they need. An event that NATS would refuse must not enter an outbox, where it would block the rest.
const MaxData = 512 << 10

// maxText bounds subject, reference and trace state, in bytes.
const maxText = 1024

// Event is one fact that a service tells the others.
type Event struct {
	// ID identifies the event; the same ID is the same fact, however often it arrives.
	ID uuid.UUID
	// Service owns the entity: "payment". Service, Entity and Name are lower-case words.
	Service string
	// Entity is the kind of thing it happened to: "payment".
	Entity string
	// Name is what happened: "captured".
	Name string
	// Subject is the id of the entity: "pay_…".
	Subject string
	// Reference is the order the event belongs to; may be empty.
	Reference string
	// Time is when it happened.
	Time time.Time
	// Data is the payload, a protobuf message of the type that Type names.
	Data []byte
	// Traceparent is the W3C trace context of the writer; may be empty.
	Traceparent string
	// Tracestate belongs to Traceparent; may be empty.
	Tracestate string
	// SagaID is the saga that the event belongs to, for the log of its writer; may be empty. It is not published.
	SagaID string
}

// Type is the CloudEvents type, "tieout.payment.payment.captured.v1".
func (e Event) Type() string {
	return typePrefix + e.Service + "." + e.Entity + "." + e.Name + typeSuffix
}

// Source is the CloudEvents source, "/tieout/payment".
func (e Event) Source() string { return sourcePrefix + e.Service }

// NATSSubject is where the event is published, "evt.payment.payment.captured.<Subject>". What cannot stand in a
// subject's token (dots, spaces, wildcards) is percent-encoded in the last one.
func (e Event) NATSSubject() string {
	return "evt." + e.Service + "." + e.Entity + "." + e.Name + "." + escape(e.Subject, `"%.*>`)
}

var (
	word  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	ascii = regexp.MustCompile(`^[ -~]*$`)
)

// Validate says what keeps e from being published; the error names the attribute.
func (e Event) Validate() error {
	switch {
	case e.ID == uuid.Nil:
		return fmt.Errorf("event attribute id: empty")
	case !word.MatchString(e.Service):
		return fmt.Errorf("event attribute service: %q is not a lower-case word", e.Service)
	case !word.MatchString(e.Entity):
		return fmt.Errorf("event attribute entity: %q is not a lower-case word", e.Entity)
	case !word.MatchString(e.Name):
		return fmt.Errorf("event attribute name: %q is not a lower-case word", e.Name)
	case e.Subject == "":
		return fmt.Errorf("event attribute subject: empty")
	case e.Time.IsZero():
		return fmt.Errorf("event attribute time: empty")
	case e.Time.UTC().Year() < 1 || e.Time.UTC().Year() > 9999:
		return fmt.Errorf("event attribute time: year %d cannot be written down", e.Time.UTC().Year())
	case len(e.Data) > MaxData:
		return fmt.Errorf("event attribute data: %d bytes, at most %d are allowed", len(e.Data), MaxData)
	}
	for _, text := range []struct{ name, value string }{{"subject", e.Subject}, {"reference", e.Reference}} {
		if len(text.value) > maxText || !utf8.ValidString(text.value) || strings.ContainsRune(text.value, 0) {
			return fmt.Errorf("event attribute %s: %q is not text of at most %d bytes", text.name, text.value, maxText)
		}
	}
	for _, trace := range []struct{ name, value string }{{"traceparent", e.Traceparent}, {"tracestate", e.Tracestate}} {
		if len(trace.value) > maxText || !ascii.MatchString(trace.value) {
			return fmt.Errorf("event attribute %s: %q is not ASCII of at most %d bytes", trace.name, trace.value, maxText)
		}
	}
	return nil
}
