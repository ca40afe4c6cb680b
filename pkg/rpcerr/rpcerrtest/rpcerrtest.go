// Package rpcerrtest checks in a test what a call was refused with.
package rpcerrtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// Want fails the test unless err is a refusal of that reason, with its code, that names exactly these fields. It
// gives the refusal.
func Want(t testing.TB, err error, reason rpcerr.Reason, fields ...string) *rpcerr.Error {
	t.Helper()
	refusal, ok := rpcerr.FromError(err)
	if !ok || refusal.Reason != reason {
		t.Fatalf("got error %v, want %s", err, reason)
	}
	if got := status.Code(err); got != reason.Code() {
		t.Errorf("got code %s, want %s", got, reason.Code())
	}
	var named []string
	for _, f := range refusal.Fields {
		named = append(named, f.Path)
	}
	if diff := cmp.Diff(fields, named, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("fields named by %s (-want +got):\n%s", reason, diff)
	}
	return refusal
}
