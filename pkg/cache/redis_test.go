package cache_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/waittest"
)

const redisKey = "tieout:test:mug"

// has tells whether a server has that version of a key, sooner or later.
func has(t *testing.T, client *redis.Client, version int64) {
	t.Helper()
	waittest.Until(t, fmt.Sprintf("Redis has version %d", version), func() bool {
		return strings.HasPrefix(client.Get(t.Context(), redisKey).Val(), fmt.Sprintf("tieout1 %d ", version))
	})
}

func TestRedis_ServesWhatAnotherReplicaRead(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	second := redistest.Replica(t, primary)
	tb := newTable()
	tb.write("mug")
	one, other := start(t, tb, options{primary: primary, replica: second}), start(t, tb, options{primary: primary, replica: second})
	one.want("mug", 1)
	has(t, second.Client(), 1)
	other.want("mug", 1)
	if n := tb.readCount(); n != 1 {
		t.Errorf("the table was read %d times", n)
	}
	if n := other.counted("tieout.cache.reads", is("tier", "redis"), is("result", "hit")); n != 1 {
		t.Errorf("%d hits of Redis are counted", n)
	}
	// It is read from the replica: the primary has no say in that.
	primary.Hang()
	third := start(t, tb, options{primary: primary, replica: second})
	third.want("mug", 1)
	if n := tb.readCount(); n != 1 {
		t.Errorf("the table was read %d times", n)
	}
	primary.Resume()
}

func TestRedis_ASlowReaderDoesNotBringBackWhatWasReplaced(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	client := primary.Client()
	tb := newTable()
	tb.write("mug")
	slow, writer := start(t, tb, options{primary: primary}), start(t, tb, options{primary: primary})
	waiting, letGo := tb.holdBack()
	var reader sync.WaitGroup
	reader.Go(func() { slow.want("mug", 1) })
	<-waiting
	writer.Put(time.Now(), tb.write("mug"))
	has(t, client, 2)
	letGo()
	reader.Wait()
	slow.Put(time.Now(), cache.Change[string]{Key: "behind", Version: 1}) // written behind what the reader kept
	waittest.Until(t, "what was behind it is written", func() bool { return client.Exists(t.Context(), "tieout:test:behind").Val() == 1 })
	has(t, client, 2)
	start(t, tb, options{primary: primary}).want("mug", 2)
}

// A value is as old on the next replica as it was on Redis: lives do not add up.
func TestRedis_WhatIsReadThereKeepsItsAge(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	tb, now := newTable(), newClock()
	tb.write("mug")
	one, other := start(t, tb, options{primary: primary, now: now.read}), start(t, tb, options{primary: primary, now: now.read})
	one.want("mug", 1)
	has(t, primary.Client(), 1)
	tb.write("mug") // and nobody says so
	now.advance(9 * time.Second)
	other.want("mug", 1)
	now.advance(time.Second - 10*time.Millisecond) // Redis counts in milliseconds
	other.want("mug", 1)
	now.advance(10 * time.Millisecond)
	other.want("mug", 2)
}

// What is under way to Redis for longer than its life, because Redis hangs, is not kept when it arrives.
func TestRedis_DoesNotKeepWhatArrivesTooLate(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	client := primary.Client()
	tb := newTable()
	r := start(t, tb, options{primary: primary, settings: func(s *cache.Settings) {
		s.TTL, s.Redis.TTL, s.Redis.Timeout = 50*time.Millisecond, 200*time.Millisecond, time.Minute
	}})
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	primary.Hang()
	written := time.Now()
	r.Put(written, tb.write("mug"))
	waittest.Until(t, "its life is over", func() bool { return time.Since(written) > 300*time.Millisecond })
	primary.Resume()
	waittest.Until(t, "it arrives", func() bool {
		return strings.Contains(client.Info(t.Context(), "commandstats").Val(), "cmdstat_eval:calls=1")
	})
	if n := client.Exists(t.Context(), redisKey).Val(); n != 0 {
		t.Errorf("Redis has %q", client.Get(t.Context(), redisKey).Val())
	}
}

// short has calls to Redis fail soon, so that a test that waits for many of them is quick.
func short(s *cache.Settings) { s.Redis.Timeout = 20 * time.Millisecond }

func TestRedis_ItsDeathOrSleepCostsNothingButTime(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "hangs": (*redistest.Server).Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := redistest.Primary(t)
			second := redistest.Replica(t, primary)
			tb := newTable()
			r := start(t, tb, options{primary: primary, replica: second, settings: short})
			var version int64
			step := func(key string) {
				r.want(key, 0)
				r.Put(time.Now(), tb.write("mug"))
				version++
				r.want("mug", version)
			}
			step("before")
			hurt(second) // the replica: the primary is read
			for i := range 10 {
				step(fmt.Sprintf("half-%d", i))
			}
			hurt(primary)
			for i := range 40 {
				step(fmt.Sprintf("none-%d", i))
			}
			for _, server := range []string{"primary", "replica"} {
				if n := r.counted("tieout.cache.fallbacks", is("server", server), is("cause", "error")); n == 0 {
					t.Errorf("no error of the %s is counted", server)
				}
				if n := r.counted("tieout.cache.fallbacks", is("server", server), is("cause", "open")); n == 0 {
					t.Errorf("the %s was asked each time", server)
				}
			}
		})
	}
}

func TestRedis_IsUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	tb := newTable()
	r := start(t, tb, options{primary: primary, settings: short})
	primary.Hang()
	for i := range 20 {
		r.want(fmt.Sprintf("key-%d", i), 0)
	}
	primary.Resume()
	change := tb.write("mug")
	client := primary.Client()
	waittest.Until(t, "it is written again", func() bool {
		r.Put(time.Now(), change)
		return client.Exists(t.Context(), redisKey).Val() == 1
	})
}

func TestRedis_WhatMakesNoSenseIsAMiss(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	client := primary.Client()
	tb := newTable()
	r := start(t, tb, options{primary: primary})
	future, past := time.Now().Add(time.Hour).UnixMilli(), time.Now().Add(-time.Minute).UnixMilli()
	for name, poison := range map[string]any{
		"empty":                "",
		"binary":               "\x00\xff\xfe",
		"another format":       `{"value": "wrong"}`,
		"half a value":         fmt.Sprintf("tieout1 9 %d value\n\"wro", time.Now().UnixMilli()),
		"another type":         fmt.Sprintf("tieout1 9 %d value\n{\"a\":1}", time.Now().UnixMilli()),
		"a version below zero": fmt.Sprintf("tieout1 -9 %d value\n\"wrong\"", time.Now().UnixMilli()),
		"a kind of its own":    fmt.Sprintf("tieout1 9 %d other\n\"wrong\"", time.Now().UnixMilli()),
		"from the future":      fmt.Sprintf("tieout1 9 %d value\n\"wrong\"", future),
		"too old":              fmt.Sprintf("tieout1 9 %d value\n\"wrong\"", past),
	} {
		if err := client.Set(t.Context(), "tieout:test:"+name, poison, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		tb.write(name)
		r.want(name, 1)
	}
	if err := client.SAdd(t.Context(), redisKey, "not even a text").Err(); err != nil {
		t.Fatal(err)
	}
	tb.write("mug")
	r.want("mug", 1)
	has(t, client, 1)
}

func TestRedis_GarbageIsRemovedAndCounted(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	client := primary.Client()
	garbage := fmt.Sprintf("tieout1 99 %d value\n\"half", time.Now().UnixMilli()) // of a version that no reader would replace
	if err := client.Set(t.Context(), redisKey, garbage, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{primary: primary})
	r.want("mug", 1)
	has(t, client, 1)
	if n := r.counted("tieout.cache.fallbacks", is("server", "primary"), is("cause", "garbage")); n != 1 {
		t.Errorf("garbage is counted %d times", n)
	}
}

func TestRedis_RemembersWhatDoesNotExistBriefly(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	client := primary.Client()
	tb := newTable()
	one, other := start(t, tb, options{primary: primary}), start(t, tb, options{primary: primary})
	one.want("mug", 0)
	has(t, client, 0)
	if left := client.PTTL(t.Context(), redisKey).Val(); left <= 0 || left > time.Second {
		t.Errorf("it is kept for %v", left)
	}
	other.Put(time.Now(), tb.write("mug"))
	has(t, client, 1)
	start(t, tb, options{primary: primary}).want("mug", 1)
}
