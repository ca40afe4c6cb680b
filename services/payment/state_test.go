package payment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestState_AllowsNothingButItsTable(t *testing.T) {
	t.Parallel()
	type step struct {
		From state
		By   change
	}
	want := map[step]state{
		{capturing, changeCapture}: captured, {capturing, changeDecline}: declined,
		{capturing, changeLose}: unknown, {capturing, changeVoid}: voided,
		{unknown, changeCapture}: captured, {unknown, changeDecline}: declined, {unknown, changeVoid}: voided,
		{captured, changeRefund}: refunded,
	}
	got := map[step]state{}
	for from := capturing - 1; from <= voided+1; from++ {
		for _, by := range []change{changeCapture, changeDecline, changeLose, changeRefund, changeVoid, ""} {
			if to, err := from.after(by); err == nil {
				got[step{from, by}] = to
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
}
