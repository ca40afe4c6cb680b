package idem_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

func digests(values ...string) (all [][8]byte) {
	for _, v := range values {
		sum := sha256.Sum256([]byte(v))
		all = append(all, [8]byte(sum[:]))
	}
	return all
}

// find gives the records of the key that request and keyed use.
func (f fixture) find(key string) []idem.Record {
	f.Helper()
	found, err := idem.Find(f.Context(), f.pool, key)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range found {
		if age := time.Since(r.CreatedAt); age < -time.Minute || age > time.Hour {
			f.Errorf("%s by %s was created %v ago", r.Method, r.Caller, age)
		}
	}
	return found
}

func (f fixture) wantRecords(key string, want ...idem.Record) {
	f.Helper()
	for i := range want {
		want[i].Key = key
	}
	ignore := cmpopts.IgnoreFields(idem.Record{}, "CreatedAt", "LeaseUntil", "ExpiresAt")
	if diff := cmp.Diff(want, f.find(key), ignore, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("records of %s (-want +got):\n%s", key, diff)
	}
}

func TestFind_GivesARecordForEachCallerAndMethodOfAKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wantRecords("order-0001") // of an empty table
	by := func(caller, method, key string) idem.Request {
		return idem.Request{Caller: caller, Method: method, Key: key, Fields: []idem.Field{{Name: "caller", Value: caller}}}
	}
	f.mustPayAll(nil, by("c", "Pay", "order-0001"), by("a", "Pay", "order-0001"), by("b", "Pay", "order-0002"),
		by("b", "Refund", "order-0001"), by("a", "Hold", "order-0001"), by("", "Pay", "order-0003"), by("d", "Pay", "order-0004"))
	for range 8 { // the plan is made for good after some
		f.wantRecords("order-0001",
			idem.Record{Caller: "a", Method: "Hold", State: idem.StateDone, Resource: "5", Attempts: 1, FieldDigests: digests("a")},
			idem.Record{Caller: "a", Method: "Pay", State: idem.StateDone, Resource: "2", Attempts: 1, FieldDigests: digests("a")},
			idem.Record{Caller: "b", Method: "Refund", State: idem.StateDone, Resource: "4", Attempts: 1, FieldDigests: digests("b")},
			idem.Record{Caller: "c", Method: "Pay", State: idem.StateDone, Resource: "1", Attempts: 1, FieldDigests: digests("c")})
	}
	f.wantRecords("order-0009")
	f.wantRecords("order-000")
}

func TestFind_SaysWhatCameOfARequest(t *testing.T) {
	t.Parallel()
	f := setup(t)
	declined := rpcerr.New(rpcerr.PaymentDeclined, "card expired").With("declineCode", "expired_card")
	fields := []idem.Field{{Name: "customer_id", Value: "ada"}, {Name: "note", Value: ""}}
	f.mustPayAll(map[string]error{"order-0002": declined}, keyed("order-0001", fields...), keyed("order-0002", fields...))
	f.mustPayAll(nil, keyed("order-0001", fields...), keyed("order-0002"))
	f.wantRecords("order-0001", idem.Record{
		Caller: "shop", Method: "Pay", State: idem.StateDone, Resource: "1", Attempts: 1, Replays: 1, FieldDigests: digests("ada", ""),
	})
	f.wantRecords("order-0002", idem.Record{
		Caller: "shop", Method: "Pay", State: idem.StateRefused, Attempts: 1, Replays: 1, FieldDigests: digests("ada", ""), Refusal: declined,
	})
	for name, key := range map[string]string{"at once": "order-0003", "with a call in between": "order-0004"} {
		if _, err := burials[name](f, keyed(key)); err != nil {
			t.Fatal(err)
		}
		f.wantRecords(key, idem.Record{Caller: "shop", Method: "Pay", State: idem.StateTombstone, Attempts: 1})
	}
	if _, err := burials["at once"](f, keyed("order-0002")); err != nil {
		t.Fatal(err)
	}
	f.wantRecords("order-0002", idem.Record{
		Caller: "shop", Method: "Pay", State: idem.StateTombstone, Attempts: 1, Replays: 1, FieldDigests: digests("ada", ""),
	})
}

func TestFind_SaysWhoWorksOnARequestAndUntilWhen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	only := func() idem.Record {
		t.Helper()
		found := f.find("order-0001")
		if len(found) != 1 {
			t.Fatalf("got %d records, want one", len(found))
		}
		return found[0]
	}
	first, second := opening(at(5, request())), opening(at(6, request()))
	f.mustBeginAll(nil, first)
	got := only()
	if left := time.Until(got.LeaseUntil); got.State != idem.StateInFlight || got.Claim != first.Token || got.Epoch != 5 || left < 30*time.Minute || left > time.Hour {
		t.Errorf("begun: got %+v", got)
	}
	f.endLeases()
	if got = only(); got.Claim != first.Token || time.Until(got.LeaseUntil) > 0 {
		t.Errorf("the lease has ended: got %+v", got)
	}
	claim := f.mustBeginAll(nil, second)[0].Value.Claim
	if got = only(); got.Claim != second.Token || got.Attempts != 2 || got.Epoch != 6 || time.Until(got.LeaseUntil) <= 0 {
		t.Errorf("resumed: got %+v", got)
	}
	f.mustEndAll(nil, idem.Ending{Claim: claim, GiveBack: rpcerr.New(rpcerr.PaymentOutcomeUnknown, "lost")})
	if got = only(); got.State != idem.StateInFlight || got.Claim != uuid.Nil || !got.LeaseUntil.IsZero() {
		t.Errorf("given back: got %+v", got)
	}
	third := opening(at(6, request()))
	if _, err := f.finish(f.mustBeginAll(nil, third)[0].Value.Claim); err != nil {
		t.Fatal(err)
	}
	if got = only(); got.State != idem.StateDone || got.Claim != third.Token || got.Attempts != 3 || !got.LeaseUntil.IsZero() {
		t.Errorf("done: got %+v", got)
	}
}

// Past its time a key is refused whatever came of it, but for what was undone, which is refused for that.
func TestFind_SaysThatAKeyIsPastItsTime(t *testing.T) {
	t.Parallel()
	f := setup(t)
	timed := func(key string) idem.Request {
		r := keyed(key)
		r.TTL = time.Hour
		return r
	}
	refusal := rpcerr.New(rpcerr.InsufficientStock, "none left")
	f.mustPayAll(map[string]error{"order-0002": refusal}, timed("order-0001"), timed("order-0002"), timed("order-0004"), keyed("order-0005"))
	f.begin(timed("order-0003"))
	if _, err := burials["at once"](f, timed("order-0004")); err != nil {
		t.Fatal(err)
	}
	wantStates := func(want ...idem.State) {
		t.Helper()
		var got []idem.State
		for _, key := range []string{"order-0001", "order-0002", "order-0003", "order-0004", "order-0005"} {
			r := f.find(key)[0]
			got = append(got, r.State)
			if timed := key != "order-0005"; timed == r.ExpiresAt.IsZero() {
				t.Errorf("%s: expires at %v", key, r.ExpiresAt)
			}
			if refused := key == "order-0002"; refused != (r.Refusal != nil) {
				t.Errorf("%s: refused with %v", key, r.Refusal)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	}
	wantStates(idem.StateDone, idem.StateRefused, idem.StateInFlight, idem.StateTombstone, idem.StateDone)
	f.expireKeys()
	wantStates(idem.StateExpired, idem.StateExpired, idem.StateExpired, idem.StateTombstone, idem.StateDone)
}
