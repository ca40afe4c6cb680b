package pspsim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"
)

const (
	maxBody      = 64 << 10
	bodyTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
)

// The error types and codes of the API.
const (
	typeCard        = "card_error"
	typeInvalid     = "invalid_request_error"
	typeIdempotency = "idempotency_error"
	typeAPI         = "api_error"

	codeCardDeclined    = "card_declined"
	codeKeyMissing      = "idempotency_key_missing"
	codeKeyInvalid      = "idempotency_key_invalid"
	codeKeyReused       = "key_reused"
	codeKeyInFlight     = "key_in_flight"
	codeInvalidJSON     = "invalid_json"
	codeInvalidParam    = "parameter_invalid"
	codeMissing         = "resource_missing"
	codeTooLarge        = "request_too_large"
	codeTimeout         = "request_timeout"
	codeNotCaptured     = "charge_not_captured"
	codeAlreadyRefunded = "charge_already_refunded"
	codeNotAuthorized   = "charge_not_authorized"
	codeAlreadyCaptured = "charge_already_captured"
	codeVoided          = "charge_voided"
	codeDisputed        = "charge_disputed"
	codeAmountTooLarge  = "amount_too_large"
	codeRateLimit       = "rate_limit"
	codeUnavailable     = "unavailable"
	codeInternal        = "internal"
	codeJournalFailed   = "journal_failed"
)

// errNoAnswer ends a request without an answer: its connection is closed.
var errNoAnswer = errors.New("no answer")

// An apiError is an answer that is not 2xx.
type apiError struct {
	status     int
	retryAfter string // seconds; empty: no such header

	Type        string `json:"type"`
	Code        string `json:"code,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	Param       string `json:"param,omitempty"`
	Message     string `json:"message"`
	Charge      string `json:"charge,omitempty"`
}

// Error implements error.
func (e *apiError) Error() string { return e.Type + ": " + e.Message }

func (e *apiError) reply() reply {
	return reply{status: e.status, retryAfter: e.retryAfter, body: errorBody{e}}
}

type errorBody struct {
	Error *apiError `json:"error"`
}

// A list is the answer to a lookup.
type list[T any] struct {
	Data []T `json:"data"`
}

// A reply is what a handler answers with, as JSON.
type reply struct {
	status     int
	body       any
	replayed   bool
	retryAfter string
	malformed  bool          // it breaks off in mid JSON
	lost       bool          // the connection dies after its header
	drip       time.Duration // it comes a byte each; zero: at once
}

func invalid(code, param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Type: typeInvalid, Code: code, Param: param, Message: message}
}

func notFound(param, message string) *apiError {
	return &apiError{status: http.StatusNotFound, Type: typeInvalid, Code: codeMissing, Param: param, Message: message}
}

// idempotencyKey takes the key of a POST.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return "", invalid(codeKeyMissing, "", "the header Idempotency-Key is required")
	}
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			return "", invalid(codeKeyInvalid, "", "the header Idempotency-Key must be printable ASCII")
		}
	}
	if len(key) > 255 {
		return "", invalid(codeKeyInvalid, "", "the header Idempotency-Key must have at most 255 characters")
	}
	return key, nil
}

// readBody reads a body of limited size in limited time. It lifts the read
// deadline afterwards: a held request must not be cut off by it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	conn := http.NewResponseController(w)
	if err := conn.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil, errNoAnswer
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Code: codeTooLarge,
			Message: "the body is larger than 64 KiB"}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &apiError{status: http.StatusRequestTimeout, Type: typeInvalid, Code: codeTimeout,
			Message: "the body did not arrive in time"}
	}
	if err != nil {
		return nil, errNoAnswer
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, errNoAnswer
	}
	return body, nil
}

// decode parses exactly one JSON object without unknown fields into req.
func decode(body []byte, req any) error {
	if !utf8.Valid(body) {
		return invalid(codeInvalidJSON, "", "the body is not valid UTF-8")
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	err := in.Decode(req)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(codeInvalidParam, wrong.Field, "has the wrong type: "+wrong.Value)
	}
	if err != nil {
		return invalid(codeInvalidJSON, "", err.Error())
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return invalid(codeInvalidJSON, "", "the body has more than one JSON value")
	}
	return nil
}

// fingerprintOf identifies a request by its endpoint and fields.
func fingerprintOf(endpoint string, req any) string {
	fields, err := json.Marshal(req)
	if err != nil {
		panic(err) // requests are strings and integers
	}
	sum := sha256.Sum256(append([]byte(endpoint+"\n"), fields...))
	return hex.EncodeToString(sum[:])
}

// hold keeps a request waiting until its client leaves or the server closes.
func hold(ctx context.Context) error {
	<-ctx.Done()
	return errNoAnswer
}

// dawdle waits, unless the client leaves or the server closes.
func dawdle(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errNoAnswer
	}
}

// write sends an answer. A client that has gone is none of our business.
func write(ctx context.Context, w http.ResponseWriter, answer reply) {
	body, err := json.Marshal(answer.body)
	if err != nil {
		panic(err) // answers are strings, integers and times
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	if answer.replayed {
		header.Set("Idempotent-Replayed", "true")
	}
	if answer.retryAfter != "" {
		header.Set("Retry-After", answer.retryAfter)
	}
	if answer.malformed {
		body = body[:len(body)/2]
	}
	limitWrite(w)
	w.WriteHeader(answer.status)
	if answer.lost {
		// With the header gone, a client does not take a kept connection for closed, and does not send again by itself.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if answer.drip > 0 {
		trickle(ctx, w, body, answer.drip)
		return
	}
	_, _ = w.Write(append(body, '\n'))
}

// trickle sends a body a byte at a time.
func trickle(ctx context.Context, w http.ResponseWriter, body []byte, each time.Duration) {
	conn := http.NewResponseController(w)
	for i := range body {
		limitWrite(w)
		if _, err := w.Write(body[i : i+1]); err != nil || conn.Flush() != nil || dawdle(ctx, each) != nil {
			return
		}
	}
}

// limitWrite bounds how long a client may take to read its answer.
func limitWrite(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}
