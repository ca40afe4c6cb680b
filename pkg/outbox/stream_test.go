package outbox

import (
	"os"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestRun_FillsAStreamThatWasDeletedAndCreatedAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, b.Outbox)
	b.write(t, numbered(1, 20)...)
	b.awaitPublished(t)
	if err := b.js.DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	b.write(t, numbered(21, 30)...)
	b.ensureStream(t)
	waittest.Until(t, "the new stream has all events", func() bool { return len(b.published(t)) >= 30 })
	got := subjects(b.published(t))
	slices.Sort(got) // what was written while the stream was away may be ahead of what is published again
	if want := subjects(numbered(1, 30)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRelay_RepublishesInOrderWhatARecreatedStreamLacks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.relay(t)
	b.write(t, numbered(1, 10)...)
	b.relayAll(t, first)
	first.lock.Release()
	if err := b.js.DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	b.ensureStream(t)
	next := b.relay(t)
	b.write(t, numbered(11, 12)...)
	b.relayAll(t, next)
	b.wantPublished(t, subjects(numbered(1, 12)))
}

// A power failure or a restored backup takes the end of a stream; what others publish then takes its sequences.
func TestRelay_RepublishesWhatTheStreamLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	backup := b.dir + ".backup"

	b.write(t, numbered(1, 7)...)
	b.relayAll(t, r)
	b.server.Shutdown()
	if err := os.CopyFS(backup, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	b.startNATS(t)
	b.awaitNATS(t)
	b.write(t, numbered(8, 12)...)
	b.relayAll(t, r)
	b.wantPublished(t, subjects(numbered(1, 12)))

	b.server.Shutdown()
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, b.dir); err != nil {
		t.Fatal(err)
	}
	b.startNATS(t)
	b.awaitNATS(t)
	var want []string
	want = append(want, subjects(numbered(1, 7))...)
	for _, other := range numbered(101, 110) {
		other.ID, other.Time, other.Service = uuid.New(), b.published(t)[0].Time, "inventory"
		if _, err := b.js.PublishMsg(t.Context(), bus.Encode(other)); err != nil {
			t.Fatal(err)
		}
		want = append(want, other.Subject)
	}
	if _, err := r.runOnce(t.Context()); err != nil { // notices by itself: the connection was interrupted
		t.Fatal(err)
	}
	b.relayAll(t, r)
	b.wantPublished(t, append(want, subjects(numbered(8, 12))...))
}

func TestRelay_LeavesAloneWhatWasRemovedOnPurpose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.relay(t)
	b.write(t, numbered(1, 5)...)
	b.relayAll(t, r)
	stream, err := b.js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	r.lock.Release() // a new session looks at the stream first
	if _, err := r.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.lock.Release()
	if _, err := r.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "published_at IS NULL"); n != 0 {
		t.Errorf("got %d events to publish again, want none", n)
	}
}
