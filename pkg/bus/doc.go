// Package bus is how an event looks on NATS: its CloudEvents binding, its subject, and the stream that holds it.
//
// An event is a CloudEvent 1.0 in binary mode: the attributes are NATS headers, the payload is the message's data.
//
//	ce-specversion   1.0
//	ce-id            the event's UUID; Nats-Msg-Id carries it too, for the stream's duplicate window
//	ce-source        /tieout/<service>
//	ce-type          tieout.<service>.<entity>.<name>.v1
//	ce-subject       the entity's id
//	ce-time          RFC 3339, UTC
//	ce-reference     extension: the order the event belongs to; absent when there is none
//	content-type     application/protobuf
//	traceparent, tracestate   W3C trace context of the writer. They travel as plain headers, as W3C defines them
//	                 for any transport, so that every OpenTelemetry propagator finds them.
//
// Characters outside printable ASCII, space, double quote and percent are percent-encoded in header values, as the
// CloudEvents HTTP binding has it.
//
// JetStream is transport, not truth: what was acknowledged can still be lost (power failure, a restored backup, an
// operator). Package outbox publishes again what the stream lost, and package inbox makes a repetition harmless.
package bus
