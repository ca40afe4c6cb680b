package web

import (
	"math"
	"net/http"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// told is what a client is told of an error: what a server said as it said it, what the gateway could not read as
// REQUEST_MALFORMED, and anything else as the servers tell it.
func told(err error) *status.Status {
	if e, ours := rpcerr.FromError(err); ours {
		return e.GRPCStatus()
	}
	if s := status.Convert(err); s.Code() == codes.InvalidArgument {
		return rpcerr.New(rpcerr.RequestMalformed, "%s", s.Message()).GRPCStatus()
	}
	return rpcerr.ToStatus(err)
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, err error) {
	code := runtime.HTTPStatusFromCode(told(err).Code())
	if rpcerr.Is(err, rpcerr.RequestTooLarge) {
		code = http.StatusRequestEntityTooLarge
	}
	writeErrorAs(w, code, err)
}

// writeErrorAs answers with an error and an HTTP status.
func writeErrorAs(w http.ResponseWriter, code int, err error) {
	s := told(err)
	if e, ok := rpcerr.FromError(err); ok && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(statusJSON(s)) // a client that is gone is told nothing
}

// statusJSON is a status as google.rpc.Status in JSON.
func statusJSON(s *status.Status) []byte {
	raw, err := protojson.Marshal(s.Proto())
	if err != nil { // a detail of a type that is not known here
		bare := s.Proto()
		bare.Details = nil
		raw, _ = protojson.Marshal(bare)
	}
	return raw
}
