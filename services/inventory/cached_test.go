package inventory

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/cache/redistest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// forever has cached entries outlive every test, so that what is seen to change was told of.
func forever() Config {
	cfg := testConfig()
	cfg.Cache.TTL, cfg.Cache.NegativeTTL, cfg.Cache.Redis.TTL = time.Hour, time.Hour, time.Hour
	cfg.Cache.Redis.Timeout = 2 * time.Second
	return cfg
}

// replica runs one more replica on a database.
func (b bundle) replica(t *testing.T, process service.Config, cfg Config) bundle {
	t.Helper()
	b.process = servicetest.StartWith(t, process, configured(b.db.Config().ConnString(), cfg))
	b.InventoryServiceClient = inventoryv1.NewInventoryServiceClient(servicetest.Dial(t, b.process, "orchestrator"))
	return b
}

// available reads how many pieces of a SKU are available; -1 when it is not known.
func (b bundle) available(t *testing.T, sku string) int64 {
	t.Helper()
	answer, err := b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: sku})
	if rpcerr.Is(err, rpcerr.SKUUnknown) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetStock().GetAvailable()
}

// describedAs reads what a SKU is said to be; "unknown" when it is not known.
func (b bundle) describedAs(t *testing.T, sku string) string {
	t.Helper()
	answer, err := b.GetItem(t.Context(), &inventoryv1.GetItemRequest{Sku: sku})
	if rpcerr.Is(err, rpcerr.SKUUnknown) {
		return "unknown"
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetItem().GetDescription()
}

func (b bundle) mustPutItem(t *testing.T, sku, description string) {
	t.Helper()
	_, err := b.PutItem(t.Context(), &inventoryv1.PutItemRequest{IdempotencyKey: "item/" + sku + "/" + description, Sku: sku, Description: description})
	if err != nil {
		t.Fatal(err)
	}
}

// scraped gives the sum of a metric's values over the lines of a real scrape that hold all the words.
func (b bundle) scraped(t *testing.T, metric string, words ...string) (sum float64) {
	t.Helper()
	answer, err := http.Get("http://" + b.process.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
next:
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), metric+"{") {
			continue
		}
		for _, word := range words {
			if !strings.Contains(lines.Text(), word) {
				continue next
			}
		}
		value, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}

func TestCache_WhoWritesReadsItOnTheSameReplica(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own := b.replica(t, servicetest.Config(), forever())
	want := func(what string, want int64) {
		t.Helper()
		if got := own.available(t, "mug"); got != want {
			t.Errorf("%s: %d are available, want %d", what, got, want)
		}
	}
	want("before", -1)
	if got := own.describedAs(t, "mug"); got != "unknown" {
		t.Errorf("before, it is %q", got)
	}
	own.mustReceive(t, "receipt-one", line("mug", 10))
	want("received", 10)
	if got := own.describedAs(t, "mug"); got != "" {
		t.Errorf("received, it is %q", got)
	}
	own.mustPutItem(t, "mug", "a mug")
	own.mustPutItem(t, "cup", "a cup")
	if mug, cup := own.describedAs(t, "mug"), own.describedAs(t, "cup"); mug != "a mug" || cup != "a cup" {
		t.Errorf("they are %q and %q", mug, cup)
	}
	own.mustPutItem(t, "mug", "a large mug")
	if got := own.describedAs(t, "mug"); got != "a large mug" {
		t.Errorf("described again, it is %q", got)
	}
	if got := own.available(t, "cup"); got != 0 {
		t.Errorf("of what was described %d are available", got)
	}
	reserved := own.mustReserve(t, "saga/sag_1/reserve", line("mug", 3))
	want("reserved", 7)
	if _, err := own.commit(t, "saga/sag_1/commit", reserved.GetReservationId()); err != nil {
		t.Fatal(err)
	}
	own.mustReserve(t, "saga/sag_2/reserve", line("mug", 2))
	want("reserved again", 5)
	if _, err := own.release(t, "saga/sag_2/reserve"); err != nil {
		t.Fatal(err)
	}
	want("released", 7)
	_, err := own.AdjustStock(t.Context(), &inventoryv1.AdjustStockRequest{IdempotencyKey: "count-one", Sku: "mug", Quantity: -2, Reason: "counted"})
	if err != nil {
		t.Fatal(err)
	}
	want("adjusted", 5)
	// All but the two first reads and that of the cup's level were answered from memory.
	if n := own.scraped(t, "tieout_cache_loads_total"); n != 3 {
		t.Errorf("the database was read %v times", n)
	}
}

func TestCache_OtherReplicasSeeWritesAtOnce(t *testing.T) {
	t.Parallel()
	process := servicetest.Config()
	process.NATS.URL = bustest.Server(t).URL()
	b := setupWith(t, process)
	other := b.replica(t, process, forever())
	sees := func(what string, want int64) {
		t.Helper()
		waittest.Until(t, what, func() bool { return other.available(t, "mug") == want })
	}
	sees("unknown", -1)
	if got := other.describedAs(t, "mug"); got != "unknown" {
		t.Errorf("before, it is %q", got)
	}
	b.mustReceive(t, "receipt-one", line("mug", 10))
	sees("received", 10)
	waittest.Until(t, "it is an item", func() bool { return other.describedAs(t, "mug") == "" })
	b.mustPutItem(t, "mug", "a mug")
	waittest.Until(t, "it is described", func() bool { return other.describedAs(t, "mug") == "a mug" })
	r := toReserve(key, line("mug", 3))
	r.Ttl = durationpb.New(time.Hour)
	if _, err := b.Reserve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	sees("reserved", 7)
	b.letTimePass(t)
	if _, err := b.wired.expireOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees("expired", 10)
	if _, err := b.db.Exec(t.Context(), `UPDATE stock_level SET available = 99`); err != nil { // and nobody says so
		t.Fatal(err)
	}
	_, err := b.RebuildStock(t.Context(), &inventoryv1.RebuildStockRequest{IdempotencyKey: "rebuild-one", Sku: "mug", Reason: "it was wrong"})
	if err != nil {
		t.Fatal(err)
	}
	b.mustReserve(t, "saga/sag_5/reserve", line("mug", 1))
	sees("rebuilt", 9)
}

// A replica that hears nothing of the others is what a lost message makes of any.
func TestCache_AReplicaThatHearsNothingIsStaleForItsTimeOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	cfg := testConfig()
	cfg.Cache.TTL = 300 * time.Millisecond
	deaf := b.replica(t, servicetest.Config(), cfg)
	// Until one answer is old, and what it was old by.
	for round := 0; ; round++ {
		deaf.available(t, "mug")
		b.mustReceive(t, fmt.Sprintf("receipt-%d", round), line("mug", 1))
		written := time.Now()
		old := deaf.available(t, "mug") != int64(11+round)
		waittest.Until(t, "it sees the receipt", func() bool {
			asked := time.Now()
			current := deaf.available(t, "mug") == int64(11+round)
			if !current && asked.Sub(written) > cfg.Cache.TTL {
				t.Errorf("an answer was old by %v", asked.Sub(written))
			}
			return current
		})
		if old {
			break
		}
	}
}

func TestCache_AThousandReadersOfAColdSKUAreOneQuery(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	cfg := servicetest.Config()
	cfg.CallLimit = shed.LimitConfig{Initial: 2048, Min: 2048} // all are let in at once, however busy the machine is
	cold := b.replica(t, cfg, forever())
	var readers sync.WaitGroup
	for range 1000 {
		readers.Go(func() {
			answer, err := cold.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug"})
			if answer.GetStock().GetAvailable() != 10 || err != nil {
				t.Errorf("got %v, %v", answer, err)
			}
		})
	}
	readers.Wait()
	if n := cold.scraped(t, "tieout_cache_loads_total", `cache="inventory.level"`); n != 1 {
		t.Errorf("the database was read %v times", n)
	}
	cold.available(t, "mug")
	if n := cold.scraped(t, "tieout_cache_age_seconds_count", `tier="memory"`); n == 0 {
		t.Error("no age of an answer is shown")
	}
	if n := cold.scraped(t, "tieout_cache_reads_total", `tier="memory"`, `cache="inventory.level"`); n != 1001 {
		t.Errorf("%v reads are shown", n)
	}
}

func TestCache_ABatchAsksForAllThatIsMissingAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10), line("cup", 4), line("jug", 2))
	cold := b.replica(t, servicetest.Config(), forever())
	cold.available(t, "cup")
	for range 2 {
		_, err := cold.BatchGetStock(t.Context(), &inventoryv1.BatchGetStockRequest{Skus: []string{"mug", "pan", "cup", "jug"}})
		rpcerrtest.Want(t, err, rpcerr.SKUUnknown, "skus[1]")
	}
	if n := cold.scraped(t, "tieout_cache_loads_total"); n != 2 {
		t.Errorf("the database was read %v times", n)
	}
	if n := cold.scraped(t, "tieout_cache_reads_total", `result="negative"`); n != 1 {
		t.Errorf("%v negative hits are shown", n)
	}
}

func TestCache_NothingIsDecidedByIt(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	deaf := b.replica(t, servicetest.Config(), forever())
	deaf.available(t, "mug")
	b.mustReserve(t, "saga/sag_1/reserve", line("mug", 8))
	if got := deaf.available(t, "mug"); got != 10 {
		t.Fatalf("%d are available to who hears nothing: the test proves nothing", got)
	}
	_, err := deaf.Reserve(t.Context(), toReserve("saga/sag_2/reserve", line("mug", 3)))
	rpcerrtest.Want(t, err, rpcerr.InsufficientStock, "mug")
	_, err = deaf.AdjustStock(t.Context(), &inventoryv1.AdjustStockRequest{IdempotencyKey: "count-one", Sku: "mug", Quantity: -3, Reason: "counted"})
	rpcerrtest.Want(t, err, rpcerr.AdjustmentBelowReserved, "quantity")
	past, err := deaf.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "mug", AsOf: &inventoryv1.GetStockRequest_AsOfEventId{AsOfEventId: 2}})
	if past.GetStock().GetAvailable() != 2 || err != nil {
		t.Errorf("as of the second event: %v, %v", past, err)
	}
	page, err := deaf.ListStock(t.Context(), &inventoryv1.ListStockRequest{})
	if err != nil || page.GetStock()[0].GetAvailable() != 2 {
		t.Errorf("listed: %v, %v", page, err)
	}
}

func TestCache_TurnedOffReadsTheDatabase(t *testing.T) {
	t.Parallel()
	process := servicetest.Config()
	process.NATS.URL = bustest.Server(t).URL()
	b := setupWith(t, process, line("mug", 10))
	cfg := testConfig()
	cfg.Cache.Size = 0
	off, other := b.replica(t, process, cfg), b.replica(t, process, forever())
	for n := range int64(5) {
		if got := off.available(t, "mug"); got != 10+n {
			t.Errorf("%d are available, want %d", got, 10+n)
		}
		b.mustReceive(t, fmt.Sprintf("receipt-%d", n), line("mug", 1))
	}
	other.available(t, "mug")
	off.mustReceive(t, "receipt-by-it", line("mug", 1))
	waittest.Until(t, "those that cache are told by one that does not", func() bool { return other.available(t, "mug") == 16 })
}

func TestCache_RefusesToStartWithWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Cache.Redis.ReplicaURL = "redis://127.0.0.1:1"
	_, err := service.Start(t.Context(), servicetest.Config(), t.Output(), configured(pgtest.DSN(t, Migrations()...), cfg))
	if err == nil || !strings.Contains(err.Error(), "cache: redis.replica_url") {
		t.Errorf("got %v", err)
	}
}

func TestCache_ReplicasShareWhatIsOnRedis(t *testing.T) {
	t.Parallel()
	primary := redistest.Primary(t)
	second := redistest.Replica(t, primary)
	b := setup(t)
	cfg := forever()
	cfg.Cache.Redis.PrimaryURL, cfg.Cache.Redis.ReplicaURL = primary.URL(), second.URL()
	one, other := b.replica(t, servicetest.Config(), cfg), b.replica(t, servicetest.Config(), cfg)
	one.mustReceive(t, "receipt-one", line("mug", 10))
	one.mustPutItem(t, "mug", "a mug")
	client := second.Client()
	for _, key := range []string{"tieout:inventory.level:mug", "tieout:inventory.item:mug"} {
		waittest.Until(t, key+" is on the replica of Redis", func() bool { return client.Exists(t.Context(), key).Val() == 1 })
	}
	waittest.Until(t, "the description is, too", func() bool {
		return strings.Contains(client.Get(t.Context(), "tieout:inventory.item:mug").Val(), "a mug")
	})
	if pieces, said := other.available(t, "mug"), other.describedAs(t, "mug"); pieces != 10 || said != "a mug" {
		t.Errorf("the other replica has %d of %q", pieces, said)
	}
	if n := other.scraped(t, "tieout_cache_loads_total"); n != 0 {
		t.Errorf("the other replica read the database %v times", n)
	}
	if n := other.scraped(t, "tieout_cache_reads_total", `tier="redis"`, `result="hit"`); n != 2 {
		t.Errorf("%v hits of Redis are shown", n)
	}
}

// The whole service with a primary and a replica of Redis, which are killed or put to sleep while it works.
func TestCache_RedisMayComeAndGo(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "hangs": (*redistest.Server).Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := redistest.Primary(t)
			second := redistest.Replica(t, primary)
			process := servicetest.Config()
			process.NATS.URL = bustest.Server(t).URL()
			b := setupWith(t, process)
			cfg := forever()
			cfg.Cache.Redis.PrimaryURL, cfg.Cache.Redis.ReplicaURL = primary.URL(), second.URL()
			cfg.Cache.Redis.Timeout = DefaultConfig().Cache.Redis.Timeout
			one, other := b.replica(t, process, cfg), b.replica(t, process, cfg)
			one.mustReceive(t, "receipt-one", line("mug", 10))
			other.available(t, "mug")
			for n, server := range []*redistest.Server{second, primary} {
				hurt(server)
				for i := range 10 {
					sku := fmt.Sprintf("sku-%d-%d", n, i)
					one.mustReceive(t, "receipt-of-"+sku, line(sku, 1), line("mug", 1))
					if got := one.available(t, "mug"); got != int64(11+10*n+i) {
						t.Errorf("who received reads %d", got)
					}
					waittest.Until(t, "the other one reads it, too", func() bool {
						return other.available(t, "mug") == int64(11+10*n+i) && other.available(t, sku) == 1
					})
				}
			}
			if n := other.scraped(t, "tieout_cache_fallbacks_total"); n == 0 {
				t.Error("no fallback is shown")
			}
		})
	}
}

// The previous binary, and whoever mends a row, raises the version as well.
func TestCache_EveryUpdateRaisesTheVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	b.mustPutItem(t, "mug", "a mug")
	for _, statement := range []string{
		`UPDATE stock_level SET updated_at = now() WHERE sku = 'mug'`,
		`INSERT INTO stock_level (sku, available, reserved, shipped, adjusted) VALUES ('mug', 10, 0, 0, 0)
		 ON CONFLICT (sku) DO UPDATE SET available = excluded.available, updated_at = now()`,
		`UPDATE item SET updated_at = now() WHERE sku = 'mug'`,
	} {
		if _, err := b.db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	got := pgtest.Rows[struct{ Level, Item int64 }](t, b.db, `SELECT l.version, i.version FROM stock_level l JOIN item i USING (sku)`)
	if len(got) != 1 || got[0].Level != 3 || got[0].Item != 2 {
		t.Errorf("versions of level and item: %v, want 3 and 2", got)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
}
