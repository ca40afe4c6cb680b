// Package tracestore keeps the recent traces of a process in memory, for people to look at: those that the process makes, and
// those that others send to it over OTLP. It serves as the TraceService.
//
// What it takes is bounded in bytes. The oldest trace makes room first; one in which something failed or was slow only when
// there are no others. It is for one machine at a time, `tieout dev`: in production traces go to a backend.
package tracestore
