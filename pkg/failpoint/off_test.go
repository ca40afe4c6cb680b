//go:build !failpoints

package failpoint_test

import (
	"testing"

	"github.com/tieout/tieout/pkg/failpoint"
)

func TestHit_CostsNothingWithoutTheTag(t *testing.T) {
	place := t.Name()
	if n := testing.AllocsPerRun(100, func() { failpoint.Hit(failpoint.Before, "place", place, failpoint.Caller()) }); n != 0 {
		t.Errorf("%v allocations for a mark", n)
	}
	if failpoint.Planted(failpoint.AcknowledgeEarly) {
		t.Error("a defect shows")
	}
}
