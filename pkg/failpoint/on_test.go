//go:build failpoints

package failpoint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/failpoint"
)

func TestHit_IsTraced(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	if err := failpoint.Configure(failpoint.Config{Trace: trace}); err != nil {
		t.Fatal(err)
	}
	failpoint.Hit(failpoint.Before, "rpc", "/service/method")
	failpoint.Hit(failpoint.Unseen, "rpc", "/service/method")
	failpoint.Hit(failpoint.Before, "rpc", "/service/method")
	failpoint.Hit(failpoint.Inside, "tx", caller())
	got, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	want := "rpc/service/method/before#1\nrpc/service/method/unseen#1\nrpc/service/method/before#2\ntx/testing.tRunner/inside#1\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
}

func caller() string { return failpoint.Caller() }
