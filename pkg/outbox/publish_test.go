package outbox

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
)

// batchesOf gives for each message of the stream the batch that it was handed in with; empty for one that came alone.
func (b *bundle) batchesOf(t *testing.T) (batches []string) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, m.Header.Get("Nats-Batch-Id"))
	}
	return batches
}

func TestRelay_HandsInManyAsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	few, many := numbered(1, together-1), numbered(together, 3*together)
	b.write(t, few...)
	b.relayAll(t, r)
	b.write(t, many...)
	b.relayAll(t, r)
	b.wantPublished(t, subjects(append(few, many...)))
	batches := b.batchesOf(t)
	for i, batch := range batches {
		if alone := i < len(few); alone != (batch == "") || !alone && batch != batches[len(batches)-1] {
			t.Errorf("message %d was handed in with %q, of %q", i+1, batch, batches)
		}
	}
	if n := b.count(t, "stream_seq = seq"); n != len(batches) {
		t.Errorf("the stream's sequence is in %d rows, want %d", n, len(batches))
	}
}

// A stream that knows one of the events already takes none of them as one, and the others one by one.
func TestRelay_GoesOnOneByOneWhereTheStreamKnowsSome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, numbered(1, 2*together)...)
	crashing := b.relay(t)
	if _, err := crashing.lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := crashing.unpublished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	crashing.batches = true
	if acked, err := crashing.publish(t.Context(), rows[:together]); err != nil || acked != together {
		t.Fatalf("got %d acknowledged, error %v", acked, err)
	}
	crashing.lock.Release()
	b.relayAll(t, b.relay(t))
	b.wantPublished(t, subjects(numbered(1, 2*together)))
	if batches := b.batchesOf(t); batches[0] == "" || batches[together] != "" {
		t.Errorf("handed in with %q, want the first %d together and the others alone", batches, together)
	}
}

// A server that is older, or a stream that was made by one, takes them one by one.
func TestRelay_PublishesToAStreamThatTakesNoneAsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.AllowAtomicPublish = false; cfg.Name == "" {
		t.Fatal("the stream has no name")
	}
	var updated jetstream.Stream
	if updated, err = b.js.UpdateStream(t.Context(), cfg); err != nil || updated.CachedInfo().Config.AllowAtomicPublish {
		t.Fatalf("got %v, error %v", updated, err)
	}
	b.write(t, numbered(1, 2*together)...)
	b.relayAll(t, b.relay(t))
	b.wantPublished(t, subjects(numbered(1, 2*together)))
	for i, batch := range b.batchesOf(t) {
		if batch != "" {
			t.Errorf("message %d was handed in with %q", i+1, batch)
		}
	}
	b.ensureStream(t) // as the next start of a process does
	if stream, err = b.js.Stream(t.Context(), bus.Stream); err != nil || !stream.CachedInfo().Config.AllowAtomicPublish {
		t.Errorf("the stream is not brought up to date: %v", err)
	}
}
