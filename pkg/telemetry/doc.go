// Package telemetry sets up traces, metrics and logs for a process: one exporter and one metrics registry,
// however many services run in it, and a tracer provider per service, so that a span says whose it is.
//
// Nothing is installed globally: what is made here is handed to whoever needs it.
package telemetry
