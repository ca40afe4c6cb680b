package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/resend"
	"github.com/tieout/tieout/pkg/pg/local"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func TestExitCode_TellsScriptsWhatHappened(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("disk full"), 1},
		{rpcerr.New(rpcerr.Internal, "oops"), 1},
		{usageError{errors.New("no such flag")}, 2},
		{rpcerr.New(rpcerr.RequestInvalid, "no"), 2},
		{rpcerr.New(rpcerr.NotFound, "no"), 3},
		{fmt.Errorf("opening: %w", fs.ErrNotExist), 3},
		{local.ErrNotInstalled, 3},
		{status.Error(codes.Unimplemented, "unknown service"), 3},
		{rpcerr.New(rpcerr.OrderNotCancellable, "no"), 4},
		{rpcerr.New(rpcerr.IdempotencyKeyReused, "no"), 4},
		{status.Error(codes.PermissionDenied, "no"), 5},
		{status.Error(codes.Unauthenticated, "no"), 5},
		{rpcerr.New(rpcerr.DestinationDown, "no"), 6},
		{status.Error(codes.DeadlineExceeded, "no"), 6},
		{rpcerr.New(rpcerr.IdempotencyKeyInFlight, "no"), 6},
		{fmt.Errorf("%w: %w", resend.ErrGone, errors.New("reset")), 6},
		{&exit{code: exitPartial}, 7},
		{&exit{code: exitFindings, err: errors.New("2 checks failed")}, 8},
		{&remoteError{error: &exit{code: exitPartial}}, 7},
		{&remoteError{error: rpcerr.New(rpcerr.NotFound, "no")}, 3},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v exits with %d, want %d", test.err, got, test.want)
		}
	}
}

func TestExitCode_IsRegisteredForEveryReason(t *testing.T) {
	t.Parallel()
	for reg := range rpcerr.Reasons() {
		code := exitCode(rpcerr.New(reg.Reason, "no"))
		if code == exitInternal && reg.Code != codes.Internal && reg.Code != codes.Canceled {
			t.Errorf("%s (%s) exits as an internal error", reg.Reason, reg.Code)
		}
	}
}

func TestPrintError_SaysAllThatTheServerSaid(t *testing.T) {
	t.Parallel()
	e := rpcerr.ForField(rpcerr.RequestInvalid, "lines[0].sku", "is empty")
	e.RetryAfter, e.Resource = time.Second, "ord_1"
	var stderr bytes.Buffer
	(&cli{stderr: &stderr}).printError(nil, &remoteError{error: e.GRPCStatus().Err(), addr: "here:1", traceID: "abc"})
	want := "tieout: REQUEST_INVALID: lines[0].sku: is empty\n" +
		"  field        lines[0].sku: is empty\n  resource     ord_1\n  retry after  1s\n  trace        abc\n"
	if stderr.String() != want {
		t.Errorf("got:\n%swant:\n%s", stderr.String(), want)
	}
}

// call runs a command line in this process.
func call(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), &cli{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ, program: "tieout",
	}, args)
	return code, out.String(), errs.String()
}

func TestCommandLine_IsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"":                                   {2, "needs a command"},
		"ordr":                               {2, "did you mean order"},
		"order":                              {2, "needs a command"},
		"order plaice":                       {2, "did you mean place"},
		"order list --no-such-flag":          {2, "unknown flag: --no-such-flag"},
		"order list -o xml":                  {2, "table|json|jsonl|yaml|csv"},
		"order list --limit -1":              {2, "--limit"},
		"order get":                          {2, "accepts 1 arg"},
		"order place":                        {2, "-f FILE"},
		"order place -f x.csv":               {2, "--map"},
		"order place -f no-such-file":        {3, "no-such-file"},
		"order place -f . --concurrency 1":   {2, "not a file"},
		"order place -f x --concurrency 0":   {2, "--concurrency"},
		"order place -f x.csv --map order=a": {2, "lacks sku"},
		"saga list --phase parked":           {2, "unknown flag: --phase"},
		"saga retry sag_1":                   {2, "--reason"},
		"saga retry --reason x":              {2, "either their ids or --filter"},
		"saga retry a --filter b --reason x": {2, "either their ids or --filter"},
		"saga retry a --rate 1 --reason x":   {2, "--rate is for a --filter"},
		"saga skip sag_1 --reason x":         {2, "--step and --evidence"},
		"saga export -o table":               {2, "jsonl or csv"},
		"saga operation":                     {2, "needs a command"},
		"saga operation cancel sop_1":        {2, "--reason"},
		"payment list --state paid":          {2, "none of capturing"},
		"payment refund pay_1":               {2, "--reason"},
		"payment refund --reason x":          {2, "accepts 1 arg"},
		"payment refund a b --reason x":      {2, "accepts 1 arg"},
		"payment void pay_1":                 {2, "--reason"},
		"payment breaker":                    {2, "accepts 1 arg"},
		"payment breaker shut --reason x":    {2, "open or auto"},
		"payment breaker open":               {2, "--reason"},
		"payment provider stripe":            {2, "unknown command"},
		"stock receive MUG":                  {2, "SKU QUANTITY"},
		"stock receive MUG many":             {2, "whole number"},
		"serve everything":                   {2, "there is no service"},
		"serve all":                          {2, "TIEOUT_PAYMENT_POSTGRES_DSN"},
		"serve all --config no-such-file":    {2, "no-such-file"},
		"migrate up":                         {2, "inventory.postgres.dsn"},
		"doctor --data-dir no-such-dir":      {3, "no-such-dir"},
		"order list --addr 127.0.0.1:1":      {6, "DESTINATION_DOWN"},
	} {
		code, stdout, stderr := call(t, nil, strings.Fields(line)...)
		if code != want.code || !strings.Contains(stderr, want.text) {
			t.Errorf("tieout %s: exit %d, want %d with %q; stderr:\n%s", line, code, want.code, want.text, stderr)
		}
		if stdout != "" {
			t.Errorf("tieout %s printed on stdout: %s", line, stdout)
		}
	}
}

func TestConfiguration_RefusesAVariableItDoesNotKnow(t *testing.T) {
	t.Parallel()
	code, _, stderr := call(t, []string{"TIEOUT_GPRC_ADDR=127.0.0.1:1", "TIEOUT_ADDR=127.0.0.1:1"}, "serve", "all")
	if code != exitUsage || !strings.Contains(stderr, "TIEOUT_GPRC_ADDR: no such setting") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if strings.Contains(stderr, "TIEOUT_ADDR:") {
		t.Errorf("the client's address was taken for configuration: %s", stderr)
	}
}

func TestServe_RefusesAnOpenListenerUnlessTold(t *testing.T) {
	t.Parallel()
	var environ []string
	for _, one := range withDatabase(services(Config{})) {
		environ = append(environ, "TIEOUT_"+strings.ToUpper(one.Name)+"_POSTGRES_DSN=postgres://127.0.0.1:1/x")
	}
	code, _, stderr := call(t, environ, "serve", "all", "--grpc-addr", "0.0.0.0:0")
	if code == exitOK || !strings.Contains(stderr, "--insecure") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
