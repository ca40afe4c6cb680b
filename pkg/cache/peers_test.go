package cache_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/waittest"
)

// forever has entries live so long that no test sees their end.
func forever(s *cache.Settings) { s.TTL, s.NegativeTTL, s.Redis.TTL = time.Hour, time.Hour, time.Hour }

func TestPut_OtherReplicasForgetAtOnce(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	tb := newTable()
	tb.write("mug")
	one := start(t, tb, options{settings: forever, nats: bustest.Connect(t, server).Conn()})
	other := start(t, tb, options{settings: forever, nats: bustest.Connect(t, server).Conn()})
	deaf := start(t, tb, options{settings: forever})
	for _, r := range []*replica{one, other, deaf} {
		r.want("mug", 1)
		r.want("cup", 0)
	}
	one.Put(time.Now(), tb.write("mug"), tb.write("cup"))
	waittest.Until(t, "the other one is told", func() bool { return other.counted("tieout.cache.forgotten") == 2 })
	for _, r := range []*replica{one, other} {
		r.want("mug", 2)
		r.want("cup", 1)
	}
	deaf.want("mug", 1)
	if n := one.counted("tieout.cache.forgotten"); n != 0 {
		t.Errorf("who wrote forgot %d keys", n)
	}
}

func TestPut_ManyKeysAreToldInParts(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	tb := newTable()
	one := start(t, tb, options{settings: forever, nats: bustest.Connect(t, server).Conn()})
	other := start(t, tb, options{settings: forever, nats: bustest.Connect(t, server).Conn()})
	var changes []cache.Change[string]
	for i := range 2500 {
		changes = append(changes, tb.write(fmt.Sprintf("key-%d", i)))
	}
	other.want("key-2499", 1)
	change := tb.write("key-2499")
	one.Put(time.Now(), append(changes, change)...)
	waittest.Until(t, "all are told", func() bool { return other.counted("tieout.cache.forgotten") == 2500 })
	other.want("key-2499", 2)
}

func TestPut_NonsenseFromOthersIsIgnored(t *testing.T) {
	t.Parallel()
	nc := bustest.Connect(t, bustest.Server(t)).Conn()
	tb := newTable()
	tb.write("mug")
	r := start(t, tb, options{settings: forever, nats: nc})
	for _, text := range []string{"", "not JSON", `{"versions": {"mug": "seven"}}`, `{"versions": {"mug": 7}}`} {
		if err := nc.Publish("cache.test", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, "the last one is heard", func() bool { return r.counted("tieout.cache.forgotten") == 1 })
	r.want("mug", 1) // also when a version is told of that the table does not have
}

// A replica of Redis that lags behind cannot bring back what this process was told is old.
func TestRedis_ALaggingReplicaCannotBringBackWhatWasReplaced(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	primary := redistest.Primary(t)
	lagging := redistest.Replica(t, primary)
	tb := newTable()
	tb.write("mug")
	one := start(t, tb, options{primary: primary, nats: bustest.Connect(t, server).Conn()})
	other := start(t, tb, options{primary: primary, replica: lagging, nats: bustest.Connect(t, server).Conn()})
	one.want("mug", 1)
	has(t, lagging.Client(), 1)
	other.want("mug", 1)
	if err := lagging.Client().ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil { // it hears of nothing any more
		t.Fatal(err)
	}
	one.Put(time.Now(), tb.write("mug"))
	waittest.Until(t, "the other one is told", func() bool { return other.counted("tieout.cache.forgotten") == 1 })
	has(t, lagging.Client(), 1)
	other.want("mug", 2)
}

// Whatever order readers, writers and messages come in, nobody who reads on one replica sees a version go back; and who
// writes there sees what he wrote.
func TestGet_VersionsNeverGoBackOnOneReplica(t *testing.T) {
	t.Parallel()
	const keys, readers, writers, writes = 8, 8, 4, 400
	server := bustest.Server(t)
	for name, primary := range map[string]*redistest.Server{"in memory": nil, "with Redis": redistest.Primary(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := newTable()
			o := options{primary: primary, settings: func(s *cache.Settings) { s.TTL, s.NegativeTTL = time.Millisecond, time.Millisecond }}
			var replicas []*replica
			for range 2 {
				o.nats = bustest.Connect(t, server).Conn()
				replicas = append(replicas, start(t, tb, o))
			}
			var writing, reading sync.WaitGroup
			done := make(chan struct{})
			for w := range writers {
				writing.Go(func() {
					for range writes {
						key, r := fmt.Sprintf("key-%d", rand.IntN(keys)), replicas[w%2]
						written := time.Now()
						change := tb.write(key)
						r.Put(written, change)
						if got := versionOf(t, r, key); got < change.Version {
							t.Errorf("who wrote version %d of %s reads %d", change.Version, key, got)
						}
					}
				})
			}
			for n := range readers {
				reading.Go(func() {
					seen := map[string]int64{}
					for {
						select {
						case <-done:
							return
						default:
						}
						key := fmt.Sprintf("key-%d", rand.IntN(keys))
						got := versionOf(t, replicas[n%2], key)
						if got < seen[key] {
							t.Errorf("%s went back from version %d to %d", key, seen[key], got)
						}
						seen[key] = got
					}
				})
			}
			writing.Wait()
			close(done)
			reading.Wait()
		})
	}
}

func versionOf(t *testing.T, r *replica, key string) (version int64) {
	value, ok, err := r.Get(t.Context(), key)
	if err != nil {
		t.Errorf("reading %s: %v", key, err)
	}
	if ok {
		if _, err := fmt.Sscanf(value, key+" as of %d", &version); err != nil {
			t.Errorf("%s has the value %q", key, value)
		}
	}
	return version
}
