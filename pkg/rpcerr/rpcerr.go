package rpcerr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the ErrorInfo.domain of every error of the system.
const Domain = "tieout"

// Error is an error that a client is told about as it is. All its text is safe to show.
type Error struct {
	Reason  Reason
	Message string
	// Fields names the request's fields that are wrong, by path ("lines[2].sku"); sent as PreconditionFailure for
	// FAILED_PRECONDITION, as QuotaFailure for RESOURCE_EXHAUSTED, where they name limits, and as BadRequest otherwise.
	Fields []Field
	// Metadata is ErrorInfo.metadata: further facts for machines, with lowerCamelCase keys.
	Metadata map[string]string
	// RetryAfter, when more than zero, tells the client to wait that long before it asks again (RetryInfo).
	RetryAfter time.Duration
	// Resource, when set, names the thing the error is about (ResourceInfo).
	Resource string
}

// Field is one wrong field of a request and what is wrong with it.
type Field struct {
	Path        string
	Description string
}

// New makes an error of a reason. The message is shown to the client.
func New(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// maxFields is how many fields an error names: it travels in a header, of which many clients take 8 KiB.
const maxFields = 20

// ForFields makes an error of a reason that blames fields of the request. Where they are many it names the first
// ones, and says how many more there are.
func ForFields(r Reason, fields ...Field) *Error {
	e := &Error{Reason: r, Fields: fields[:min(len(fields), maxFields)]}
	var texts []string
	for _, f := range e.Fields {
		texts = append(texts, f.Path+": "+f.Description)
	}
	if more := len(fields) - maxFields; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	e.Message = strings.Join(texts, "; ")
	return e
}

// ForField makes an error of a reason that blames one field of the request.
func ForField(r Reason, path, format string, args ...any) *Error {
	return ForFields(r, Field{Path: path, Description: fmt.Sprintf(format, args...)})
}

// Error gives reason and message.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }

// Code is the gRPC code of the error.
func (e *Error) Code() codes.Code { return e.Reason.Code() }

// Definite tells whether the error says that the request was refused and nothing happened, for a cause that
// asking again does not change by itself.
func (e *Error) Definite() bool {
	switch e.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.OutOfRange:
		return true
	}
	return false
}

// With returns a copy with one more metadata entry.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.Metadata = maps.Clone(e.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[key] = value
	return &c
}

// GRPCStatus is the error as it goes over the wire.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.Code(), e.Message)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(e.Reason), Domain: Domain, Metadata: e.Metadata}}
	if len(e.Fields) > 0 {
		details = append(details, e.fieldDetail())
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if e.Resource != "" {
		details = append(details, &errdetails.ResourceInfo{ResourceName: e.Resource, Description: e.Message})
	}
	if withDetails, err := s.WithDetails(details...); err == nil {
		return withDetails
	}
	return s // only for text that is not UTF-8: the code and message still say it
}

func (e *Error) fieldDetail() protoadapt.MessageV1 {
	switch e.Code() {
	case codes.ResourceExhausted:
		d := &errdetails.QuotaFailure{}
		for _, f := range e.Fields {
			d.Violations = append(d.Violations, &errdetails.QuotaFailure_Violation{Subject: f.Path, Description: f.Description})
		}
		return d
	case codes.FailedPrecondition:
		d := &errdetails.PreconditionFailure{}
		for _, f := range e.Fields {
			d.Violations = append(d.Violations, &errdetails.PreconditionFailure_Violation{
				Type: string(e.Reason), Subject: f.Path, Description: f.Description,
			})
		}
		return d
	}
	d := &errdetails.BadRequest{}
	for _, f := range e.Fields {
		d.FieldViolations = append(d.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: f.Path, Description: f.Description, Reason: string(e.Reason),
		})
	}
	return d
}

// sealed is an error whose status was made before it is needed.
type sealed struct {
	error
	status *status.Status
}

// Unwrap gives the error.
func (s *sealed) Unwrap() error { return s.error }

// GRPCStatus implements what gRPC asks errors for.
func (s *sealed) GRPCStatus() *status.Status { return s.status }

// Sealed gives an error with its status made, for one that is given again and again. It must not be changed any more.
func Sealed(e *Error) error { return &sealed{e, e.GRPCStatus()} }

// ToStatus is what a server answers for err: an *Error as it is, the end of a context or of a call's time as
// such, and anything else as INTERNAL without its text.
func ToStatus(err error) *status.Status {
	if s, ok := errors.AsType[*sealed](err); ok {
		return s.status
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.GRPCStatus()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded:
		return New(DeadlineExceeded, "the deadline passed; the outcome is not known").GRPCStatus()
	case errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled:
		return New(Cancelled, "the call was cancelled; the outcome is not known").GRPCStatus()
	}
	return New(Internal, "internal error; the outcome is not known").GRPCStatus()
}

// FromError reads back, on the client's side, what a server answered. It gives false for an error that is
// not a status of this system; the status' own code and message are still told by package status.
func FromError(err error) (*Error, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	answered, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return nil, false
	}
	s := answered.GRPCStatus() // status.FromError would add the text that the error is wrapped in
	e, known := &Error{Message: s.Message()}, false
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Metadata, known = Reason(d.GetReason()), d.GetMetadata(), d.GetDomain() == Domain
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, Field{v.GetField(), v.GetDescription()})
			}
		case *errdetails.PreconditionFailure:
			for _, v := range d.GetViolations() {
				e.Fields = append(e.Fields, Field{v.GetSubject(), v.GetDescription()})
			}
		case *errdetails.QuotaFailure:
			for _, v := range d.GetViolations() {
				e.Fields = append(e.Fields, Field{v.GetSubject(), v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.ResourceInfo:
			e.Resource = d.GetResourceName()
		}
	}
	return e, known
}

// Is reports whether err is, or wraps, an error of that reason.
func Is(err error, r Reason) bool {
	e, ok := FromError(err)
	return ok && e.Reason == r
}
