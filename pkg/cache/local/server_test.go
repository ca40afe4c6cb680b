package local_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tieout/tieout/pkg/cache/local"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestStart_AReplicaRepeatsItsPrimary(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	replica := redistest.Replica(t, primary)
	if err := primary.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	client := replica.Client()
	waittest.Until(t, "the replica has it", func() bool { return client.Get(t.Context(), "key").Val() == "value" })
	if err := client.Set(t.Context(), "key", "other", 0).Err(); err == nil {
		t.Error("the replica can be written to")
	}
}

func TestStart_LetsNobodyInWithoutThePassword(t *testing.T) {
	t.Parallel()
	server := redistest.Primary(t)
	stranger := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer stranger.Close()
	if err := stranger.Get(t.Context(), "key").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("a stranger got %v", err)
	}
}

func TestStop_EndsTheServerAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	server := redistest.Primary(t)
	client := server.Client()
	server.Stop()
	server.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("it still answers")
	}
}

func TestStart_RefusesADirectoryThatCannotBeMade(t *testing.T) {
	t.Parallel()
	if _, err := local.Find(); err != nil {
		t.Skip(err)
	}
	if _, err := local.Start(t.Context(), local.Options{Dir: filepath.Join("/proc", "nowhere")}); err == nil {
		t.Error("it started in a directory that cannot be made")
	}
}
