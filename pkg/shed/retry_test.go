package shed_test

import (
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/shed"
)

// retries tries again all that it may in some seconds in which so much is tried for the first time.
func retries(b *shed.RetryBudget, from time.Time, seconds, perSecond int) (n int) {
	for ms := range 1000 * seconds {
		for range perSecond*(ms+1)/1000 - perSecond*ms/1000 {
			b.Tried()
		}
		for b.Take(from.Add(time.Duration(ms) * time.Millisecond)) {
			n++
		}
	}
	return n
}

func TestRetryBudget_IsATenthOfWhatIsTried(t *testing.T) {
	t.Parallel()
	if n := retries(new(shed.RetryBudget), epoch, 60, 5000); n < 30_000 || n > 31_000 {
		t.Errorf("%d retries of 300000 attempts, want a tenth and the floor", n)
	}
}

func TestRetryBudget_HasAFloor(t *testing.T) {
	t.Parallel()
	b := new(shed.RetryBudget)
	if n := retries(b, epoch, 60, 0); n < 590 || n > 610 {
		t.Errorf("%d retries in a minute in which nothing else is tried, want 600", n)
	}
	if n := retries(b, epoch.Add(time.Hour), 1, 0); n > 20 {
		t.Errorf("an idle hour saved up %d retries", n)
	}
}

func TestRetryBudget_SavesUpSoMuchOnly(t *testing.T) {
	t.Parallel()
	b := new(shed.RetryBudget)
	for range 1_000_000 {
		b.Tried()
	}
	n := 0
	for b.Take(epoch) {
		n++
	}
	if n != 500 {
		t.Errorf("%d retries at once, want 500", n)
	}
}
