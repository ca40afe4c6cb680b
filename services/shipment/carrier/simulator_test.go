package carrier

import (
	"context"
	"errors"
	"testing"
	"time"
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

func TestSimulator_CancelsUntilTheParcelIsHandedOver(t *testing.T) {
	t.Parallel()
	s := NewSimulator(SimulatorConfig{HandOverAfter: time.Hour})
	early := Booking{Key: "one", Address: Address{Country: "GB"}, BookedAt: time.Now()}
	late := Booking{Key: "two", Address: Address{Country: "GB"}, BookedAt: time.Now().Add(-time.Hour)}
	if err := s.Cancel(t.Context(), early); err != nil {
		t.Errorf("cancelling in time: got %v", err)
	}
	early.BookedAt = late.BookedAt // what was cancelled stays so
	if err := s.Cancel(t.Context(), early); err != nil {
		t.Errorf("cancelling again: got %v", err)
	}
	tracking, _ := s.Book(t.Context(), late)
	if has, ok := errors.AsType[*HandedOverError](s.Cancel(t.Context(), late)); !ok || has.Tracking != tracking {
		t.Errorf("cancelling late: got %v, want that it has %s", has, tracking)
	}
	if err := NewSimulator(SimulatorConfig{}).Cancel(t.Context(), late); err != nil {
		t.Errorf("one that hands nothing over: got %v", err)
	}
}

func TestSimulator_LosesItsFirstAnswerAboutParcelsToSomeCountries(t *testing.T) {
	t.Parallel()
	s := NewSimulator(SimulatorConfig{HandOverAfter: time.Hour})
	for country, happened := range map[string]bool{"XB": false, "XA": true} {
		b := Booking{Key: country, Address: Address{Country: country}, BookedAt: time.Now()}
		if _, err := s.Book(t.Context(), b); err == nil {
			t.Errorf("%s: the first booking was answered", country)
		}
		if _, found, err := s.Lookup(t.Context(), b); found != happened || err != nil {
			t.Errorf("%s: looked up: got %t and %v, want %t", country, found, err, happened)
		}
		if tracking, err := s.Book(t.Context(), b); tracking == "" || err != nil {
			t.Errorf("%s: booked again: got %q and %v", country, tracking, err)
		}
		if err := s.Cancel(t.Context(), b); err == nil {
			t.Errorf("%s: the first cancellation was answered", country)
		}
		b.BookedAt = time.Now().Add(-time.Hour)
		_, late := errors.AsType[*HandedOverError](s.Cancel(t.Context(), b))
		if late == happened {
			t.Errorf("%s: after the cancellation without an answer it is handed over: %t", country, late)
		}
	}
}

func TestSimulator_TellsTheJourneyAsTimePasses(t *testing.T) {
	t.Parallel()
	s := NewSimulator(SimulatorConfig{HandOverAfter: time.Hour, LegTime: time.Hour})
	for country, end := range map[string]Stage{"GB": StageDelivered, "XR": StageReturned, "XL": StageLost} {
		for hours, want := range [][]Stage{
			{StageScheduled}, {StageScheduled, StageHandedOver}, {StageScheduled, StageHandedOver, StageInTransit},
			{StageScheduled, StageHandedOver, StageInTransit, end},
		} {
			b := Booking{Key: country, Address: Address{Country: country}, BookedAt: time.Now().Add(-time.Duration(hours) * time.Hour)}
			events, err := s.Track(t.Context(), b)
			if err != nil || len(events) != len(want) {
				t.Fatalf("%s after %d h: got %v and %v, want %v", country, hours, events, err, want)
			}
			for i, e := range events {
				if e.Stage != want[i] || e.ID == "" || i > 0 && (e.ID == events[i-1].ID || e.At.Before(events[i-1].At)) {
					t.Errorf("%s after %d h: got %v, want %v", country, hours, events, want)
				}
			}
		}
	}
	cancelled := Booking{Key: "two", Address: Address{Country: "GB"}, BookedAt: time.Now()}
	if err := s.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	cancelled.BookedAt = cancelled.BookedAt.Add(-9 * time.Hour)
	if events, err := s.Track(t.Context(), cancelled); err != nil || len(events) != 1 {
		t.Errorf("cancelled: got %v and %v, want it scheduled once", events, err)
	}
	if events, err := s.Track(t.Context(), Booking{Key: "three", Address: Address{Country: "XX"}}); err != nil || len(events) != 0 {
		t.Errorf("refused: got %v and %v, want nothing", events, err)
	}
}

func TestSimulator_IsSlowOnRequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	b := Booking{Key: "one", Address: Address{Country: "XS"}}
	if _, err := NewSimulator(SimulatorConfig{SlowFor: time.Hour}).Book(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := NewSimulator(SimulatorConfig{SlowFor: time.Millisecond}).Book(t.Context(), b); err != nil {
		t.Error(err)
	}
}

func TestSimulatorConfig_RefusesNegativeTimes(t *testing.T) {
	t.Parallel()
	if (SimulatorConfig{HandOverAfter: -1}).Validate() == nil || (SimulatorConfig{SlowFor: -1}).Validate() == nil || DefaultSimulator().Validate() != nil {
		t.Error("got no error for a negative time, or one for the default")
	}
}
