package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tieout/tieout/pkg/cache/local"
	"github.com/tieout/tieout/pkg/waittest"
)

// redisServers are clients of the system's primary and replica.
func (d *daemon) redisServers(t *testing.T) (servers []*redis.Client) {
	t.Helper()
	for _, url := range []string{d.ready.Redis, d.ready.RedisReplica} {
		options, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		server := redis.NewClient(options)
		t.Cleanup(func() { server.Close() })
		if err := server.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, server)
	}
	return servers
}

func TestDev_StartsAPrimaryAndAReplicaOfRedis(t *testing.T) {
	t.Parallel()
	if _, err := local.Find(); err != nil {
		t.Skip(err)
	}
	d := startDev(t, dataDir(t), "--redis")
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		servers := d.redisServers(t)
		if code, _, stderr := d.tieout(t, "", "stock", "receive", "MUG", "7"); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		for _, server := range servers {
			waittest.Until(t, "the stock is on both", func() bool {
				return strings.HasPrefix(server.Get(t.Context(), "tieout:inventory.level:MUG").Val(), "tieout1 ")
			})
		}
		d.stop(t, end)
		for _, server := range servers {
			waittest.Until(t, "Redis ends with the system", func() bool { return server.Ping(t.Context()).Err() != nil })
		}
		if text := d.stdout.String(); !strings.Contains(text, "Redis     a primary and a replica") {
			t.Errorf("it does not say that Redis runs:\n%s", text)
		}
		if end == syscall.SIGTERM {
			d = startDev(t, d.dir, "--redis")
		}
	}
}
