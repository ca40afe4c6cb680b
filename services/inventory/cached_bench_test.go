package inventory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/cache"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// BenchmarkReadStock tells what a read of one SKU's level costs in CPU time, of this process and of the servers that it
// asks: from memory, from Redis, and from the database. Without gRPC, which costs the same for all.
func BenchmarkReadStock(b *testing.B) {
	const skus = 100
	pool, err := pg.Open(b.Context(), pg.Config{DSN: pgtest.DSN(b, Migrations()...), ApplicationName: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `INSERT INTO stock_level (sku, available, reserved, shipped) SELECT 'sku-' || n, 10, 0, 0 FROM generate_series(0, $1) n`, skus)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("memory", func(b *testing.B) { benchmarkReads(b, pool, skus, cache.DefaultSettings()) })
	b.Run("redis", func(b *testing.B) {
		primary := redistest.Primary(b)
		s := cache.DefaultSettings()
		s.TTL, s.NegativeTTL, s.Redis.TTL, s.Redis.Timeout = time.Nanosecond, time.Nanosecond, time.Hour, time.Second
		s.Redis.PrimaryURL = primary.URL()
		benchmarkReads(b, pool, skus, s, primary.PID())
	})
	b.Run("database", func(b *testing.B) { benchmarkReads(b, pool, skus, cache.Settings{}) })
}

func benchmarkReads(b *testing.B, pool *pgxpool.Pool, skus int, s cache.Settings, servers ...int) {
	redis, err := cache.OpenRedis(cache.RedisConfig{Settings: s.Redis})
	if err != nil {
		b.Fatal(err)
	}
	loads := 0
	load := loadLevels(pool)
	levels, err := cache.New(cache.Config[levelAt]{Name: "bench", Settings: s, Redis: redis,
		Load: func(ctx context.Context, skus []string) (map[string]cache.Loaded[levelAt], error) {
			loads++
			return load(ctx, skus)
		}})
	if err != nil {
		b.Fatal(err)
	}
	if redis != nil {
		ctx, stop := context.WithCancel(b.Context())
		var writing sync.WaitGroup
		writing.Go(func() { _ = redis.Run(ctx) })
		defer writing.Wait()
		defer stop()
	}
	inventory := &inventory{caches: caches{levels: levels}}
	read := func(n int) {
		sku := "sku-" + strconv.Itoa(n%skus)
		if got, err := inventory.getStock(b.Context(), []string{sku}, skuField); err != nil || got[0].Available != 10 {
			b.Fatalf("got %v, %v", got, err)
		}
	}
	for n := range 2 * skus {
		read(n)
	}
	servers = append(servers, backends(b, pool)...)
	loads = 0
	before := cpuTime(b, servers)
	n := 0
	for b.Loop() {
		read(n)
		n++
	}
	b.ReportMetric(float64((cpuTime(b, servers)-before).Nanoseconds())/float64(b.N)/1000, "CPU-us/read")
	b.ReportMetric(float64(loads)/float64(b.N), "queries/read")
}

// backends are the processes of the database's sessions.
func backends(b *testing.B, pool *pgxpool.Pool) (pids []int) {
	for _, row := range pgtest.Rows[struct{ PID int32 }](b, pool, `SELECT pid FROM pg_stat_activity WHERE datname = current_database()`) {
		pids = append(pids, int(row.PID))
	}
	return pids
}

// cpuTime is what this process and servers have used.
func cpuTime(b *testing.B, servers []int) time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	used := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	for _, pid := range servers {
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "schedstat"))
		if err != nil {
			b.Skipf("the CPU time of servers is read where there is a /proc: %v", err)
		}
		var onCPU int64
		if _, err := fmt.Sscan(strings.Fields(string(raw))[0], &onCPU); err != nil {
			b.Fatal(err)
		}
		used += time.Duration(onCPU)
	}
	return used
}
