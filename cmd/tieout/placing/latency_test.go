package placing

import (
	"testing"
	"time"
)

func TestLatencies_KnowAQuantileToOnePercent(t *testing.T) {
	t.Parallel()
	var l latencies
	for ms := range 1000 {
		l.add(time.Duration(ms+1) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		got := l.quantile(share)
		if diff := (want - got).Abs(); diff > want/100 {
			t.Errorf("quantile %v is %v, want %v to one percent", share, got, want)
		}
	}
}

func TestLatencies_OfNothingAreZero(t *testing.T) {
	t.Parallel()
	var l latencies
	if got := l.quantile(0.99); got != 0 {
		t.Errorf("got %v", got)
	}
}

func TestBucket_HoldsItsDurations(t *testing.T) {
	t.Parallel()
	for us := uint64(1); us < 1<<50; us = us*5/4 + 1 {
		b := bucket(us)
		if least, next := value(b).Microseconds(), value(b+1).Microseconds(); int64(us) < least || int64(us) >= next {
			t.Fatalf("%d µs is in bucket %d, which is %d to %d", us, b, least, next)
		}
	}
}
