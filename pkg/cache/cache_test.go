package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestGet_AThousandWhoMissAreOneRead(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{})
	waiting, letGo := tb.holdBack()
	var readers sync.WaitGroup
	for range 1000 {
		readers.Go(func() { r.want("mug", 1) })
	}
	<-waiting
	waittest.Until(t, "all have missed", func() bool {
		return r.counted("tieout.cache.reads", is("tier", "memory"), is("result", "miss")) == 1000
	})
	letGo()
	readers.Wait()
	if n := tb.readCount(); n != 1 {
		t.Errorf("the table was read %d times", n)
	}
	if n := r.counted("tieout.cache.loads"); n != 1 {
		t.Errorf("%d loads are counted", n)
	}
}

func TestGetAll_ReadsAllThatIsMissingAtOnce(t *testing.T) {
	t.Parallel()
	tb := newTable()
	for _, key := range []string{"cup", "jug", "mug"} {
		tb.write(key)
	}
	r := start(t, tb, options{})
	r.want("cup", 1)
	for range 2 {
		got, err := r.GetAll(t.Context(), []string{"mug", "cup", "pan", "jug", "mug"})
		want := map[string]string{"mug": valueOf("mug", 1), "cup": valueOf("cup", 1), "jug": valueOf("jug", 1)}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if diff := cmp.Diff([][]string{{"cup"}, {"jug", "mug", "pan"}}, tb.reads); diff != "" {
		t.Errorf("reads of the table (-want +got):\n%s", diff)
	}
}

func TestGetAll_WaitsForWhatOthersLoad(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	tb.write("cup")
	r := start(t, tb, options{})
	waiting, letGo := tb.holdBack()
	var readers sync.WaitGroup
	readers.Go(func() { r.want("mug", 1) })
	<-waiting
	readers.Go(func() {
		got, err := r.GetAll(t.Context(), []string{"mug", "cup"})
		if len(got) != 2 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	<-waiting
	letGo()
	readers.Wait()
	if diff := cmp.Diff([][]string{{"mug"}, {"cup"}}, tb.reads); diff != "" {
		t.Errorf("reads of the table (-want +got):\n%s", diff)
	}
}

// The classic race: a reader has read the old row, somebody changes it, and then the reader keeps what it has.
func TestGet_ASlowReaderDoesNotBringBackWhatWasReplaced(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{})
	waiting, letGo := tb.holdBack()
	var reader sync.WaitGroup
	reader.Go(func() { r.want("mug", 2) })
	<-waiting
	r.Put(time.Now(), tb.write("mug"))
	letGo()
	reader.Wait()
	r.want("mug", 2)
}

// The same where the write is too much for the memory, so that nothing but the load itself can know of it.
func TestGet_WhatChangedWhileItWasLoadedIsLoadedAgain(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{})
	waiting, letGo := tb.holdBack()
	var reader sync.WaitGroup
	reader.Go(func() { r.want("mug", 2) })
	<-waiting
	change := tb.write("mug")
	r.Put(time.Now(), cache.Change[string]{Key: "mug", Version: change.Version})
	letGo()
	reader.Wait()
	r.want("mug", 2)
	if n := tb.readCount(); n != 2 {
		t.Errorf("the table was read %d times", n)
	}
}

func TestPut_AnOlderChangeDoesNotReplaceANewer(t *testing.T) {
	t.Parallel()
	tb := newTable()
	first, second := tb.write("mug"), tb.write("mug")
	r := start(t, tb, options{})
	r.Put(time.Now(), second)
	r.Put(time.Now(), first)
	r.want("mug", 2)
	if n := tb.readCount(); n != 0 {
		t.Errorf("what was written through was read %d times", n)
	}
}

func TestGet_NothingIsOlderThanItsTime(t *testing.T) {
	t.Parallel()
	tb, now := newTable(), newClock()
	tb.write("mug")
	r := start(t, tb, options{now: now.read})
	r.want("mug", 1)
	tb.write("mug") // and nobody says so
	now.advance(2*time.Second - 1)
	r.want("mug", 1)
	now.advance(1)
	r.want("mug", 2)
}

// The time of an entry begins before it is read, not when it is kept.
func TestGet_TheTimeThatReadingTakesCounts(t *testing.T) {
	t.Parallel()
	tb, now := newTable(), newClock()
	tb.write("mug")
	r := start(t, tb, options{now: now.read})
	waiting, letGo := tb.holdBack()
	var reader sync.WaitGroup
	reader.Go(func() { r.want("mug", 1) })
	<-waiting
	tb.write("mug")
	now.advance(1500 * time.Millisecond)
	letGo()
	reader.Wait()
	r.want("mug", 1)
	now.advance(500 * time.Millisecond)
	r.want("mug", 2)
}

func TestGet_RemembersWhatDoesNotExistUntilItDoes(t *testing.T) {
	t.Parallel()
	tb, now := newTable(), newClock()
	r := start(t, tb, options{now: now.read})
	r.want("mug", 0)
	r.want("mug", 0)
	if n := tb.readCount(); n != 1 {
		t.Errorf("the table was read %d times", n)
	}
	if n := r.counted("tieout.cache.reads", is("result", "negative")); n != 1 {
		t.Errorf("%d negative hits are counted", n)
	}
	r.Put(now.read(), tb.write("mug"))
	r.want("mug", 1)

	r.want("cup", 0)
	tb.write("cup") // and nobody says so
	now.advance(time.Second)
	r.want("cup", 1)
}

func TestGet_AnErrorIsKeptByNobody(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	tb.err = errors.New("the table is closed")
	r := start(t, tb, options{})
	if _, _, err := r.Get(t.Context(), "mug"); !errors.Is(err, tb.err) {
		t.Errorf("got %v", err)
	}
	tb.err = nil
	r.want("mug", 1)
}

func TestGet_TheNextOneLoadsWhenTheFirstGoesAway(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{})
	waiting, letGo := tb.holdBack()
	ctx, leave := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	readers.Go(func() {
		if _, _, err := r.Get(ctx, "mug"); !errors.Is(err, context.Canceled) {
			t.Errorf("who went away got %v", err)
		}
	})
	<-waiting
	for range 10 {
		readers.Go(func() { r.want("mug", 1) })
	}
	waittest.Until(t, "all have missed", func() bool { return r.counted("tieout.cache.reads", is("result", "miss")) == 11 })
	leave()
	<-waiting
	letGo()
	readers.Wait()
	if n := tb.readCount(); n != 2 {
		t.Errorf("the table was read %d times", n)
	}
}

func TestGet_TurnedOffReadsTheTable(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{settings: func(s *cache.Settings) { s.Size = 0 }})
	r.want("mug", 1)
	r.Put(time.Now(), tb.write("mug"))
	tb.write("mug")
	r.want("mug", 3)
	r.want("cup", 0)
}

func TestGet_CountsHitsAndTheirAge(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{})
	for range 5 {
		r.want("mug", 1)
	}
	hits := r.counted("tieout.cache.reads", is("cache", "test"), is("tier", "memory"), is("result", "hit"))
	misses := r.counted("tieout.cache.reads", is("cache", "test"), is("tier", "memory"), is("result", "miss"))
	if hits != 4 || misses != 1 {
		t.Errorf("%d hits and %d misses are counted", hits, misses)
	}
	if n := r.counted("tieout.cache.age", is("tier", "memory")); n != 4 {
		t.Errorf("the age of %d answers is counted", n)
	}
}

func TestSettings_AreCheckedByName(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*cache.Settings){
		"size":              func(s *cache.Settings) { s.Size = -1 },
		"negative_ttl":      func(s *cache.Settings) { s.NegativeTTL = 0 },
		"redis.replica_url": func(s *cache.Settings) { s.Redis.ReplicaURL = "redis://127.0.0.1:1" },
		"redis.primary_url": func(s *cache.Settings) { s.Size, s.Redis.PrimaryURL = 0, "redis://127.0.0.1:1" },
		"redis.ttl":         func(s *cache.Settings) { s.Redis.PrimaryURL, s.Redis.TTL = "redis://127.0.0.1:1", time.Second },
		"is no URL":         func(s *cache.Settings) { s.Redis.PrimaryURL = "http://:secret@127.0.0.1" },
	} {
		s := cache.DefaultSettings()
		spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := cache.DefaultSettings().Validate(); err != nil {
		t.Error(err)
	}
}
