package carrier

import (
	"context"
	"errors"
	"testing"
)

func TestSimulator_AnswersTheSameToTheSameKey(t *testing.T) {
	t.Parallel()
	numbers := map[string]string{}
	for range 2 {
		for _, key := range []string{"one", "two"} {
			tracking, err := Simulator{}.Book(t.Context(), Booking{Key: key, Address: Address{Country: "GB"}})
			if err != nil || tracking == "" {
				t.Fatalf("got %q, %v", tracking, err)
			}
			if before, asked := numbers[key]; asked && before != tracking {
				t.Errorf("key %s got %s, and %s before", key, tracking, before)
			}
			numbers[key] = tracking
			known, found, err := Simulator{}.Lookup(t.Context(), Booking{Key: key, Address: Address{Country: "GB"}})
			if known != tracking || !found || err != nil {
				t.Errorf("looked up: got %q, %t, %v, want %s", known, found, err, tracking)
			}
		}
	}
	if numbers["one"] == numbers["two"] {
		t.Errorf("two parcels have one tracking number, %s", numbers["one"])
	}
}

func TestSimulator_RefusesCountryXX(t *testing.T) {
	t.Parallel()
	abroad := Booking{Key: "one", Address: Address{Country: "XX"}}
	_, err := Simulator{}.Book(t.Context(), abroad)
	_, found, again := Simulator{}.Lookup(t.Context(), abroad)
	for _, err := range []error{err, again} {
		if refusal, ok := errors.AsType[*RefusedError](err); !ok || refusal.Reason == "" || found {
			t.Errorf("got %v, want a refusal with its reason", err)
		}
	}
}

func TestSimulator_DoesNotAnswerWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Simulator{}).Book(ctx, Booking{Key: "one", Address: Address{Country: "XX"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("booking: got %v, want %v", err, context.Canceled)
	}
	if _, found, err := (Simulator{}).Lookup(ctx, Booking{Key: "one"}); found || !errors.Is(err, context.Canceled) {
		t.Errorf("looking up: got %v, want %v", err, context.Canceled)
	}
	if err := (Simulator{}).Cancel(ctx, Booking{Key: "one"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelling: got %v, want %v", err, context.Canceled)
	}
}
