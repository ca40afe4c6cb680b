package telemetry_test

import (
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/telemetry"
)

func TestAgeClassOf_PartsAgesAtTheirBounds(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{
		-time.Second: "below 1m", 0: "below 1m", time.Minute - 1: "below 1m", time.Minute: "below 1h", time.Hour - 1: "below 1h",
		time.Hour: "below 1d", 24*time.Hour - 1: "below 1d", 24 * time.Hour: "1d and more", 1000 * time.Hour: "1d and more",
	} {
		if got := telemetry.AgeClassOf(age).String(); got != want {
			t.Errorf("%s: got %s, want %s", age, got, want)
		}
	}
	if len(telemetry.AgeBounds())+1 != telemetry.AgeClasses {
		t.Errorf("got %d classes for %d bounds", telemetry.AgeClasses, len(telemetry.AgeBounds()))
	}
}
