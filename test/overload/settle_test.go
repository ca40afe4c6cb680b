package overload

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/cmd/tieout/auditing"
	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
)

// settleLimit is how long what was accepted may take to come to rest after the last load.
const settleLimit = 5 * time.Minute

// database connects to a service's database.
func (g *generator) database(service string) *pgx.Conn {
	g.Helper()
	if conn := g.databases[service]; conn != nil {
		return conn
	}
	dsn, err := url.Parse(g.system.Ready.Postgres)
	if err != nil {
		g.Fatal(err)
	}
	dsn.Path = "/" + service
	conn, err := pgx.Connect(g.Context(), dsn.String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = conn.Close(context.Background()) })
	g.databases[service] = conn
	return conn
}

// wantAllWell lets everything come to rest, and then wants every order that was acknowledged to be there, and the audit to
// be clean.
func (g *generator) wantAllWell() {
	g.Helper()
	g.settle()
	g.wantAllAcknowledged()
	g.wantCleanAudit()
}

// settle waits until no order is under way, every event is published, and whoever is told of it has been told.
func (g *generator) settle() {
	g.Helper()
	until := time.Now().Add(settleLimit)
	g.awaitNone(until, g.database("orchestrator"), `SELECT count(*) FROM saga WHERE phase IN (1, 2)`)
	for _, service := range []string{"orchestrator", "inventory", "payment", "shipment"} {
		g.awaitNone(until, g.database(service), `SELECT count(*) FROM outbox WHERE published_at IS NULL`)
	}
	for lag := g.measured().lag; lag > 0; lag = g.measured().lag {
		if time.Now().After(until) {
			g.Fatalf("after %v there are still %.0f events that somebody was not told of", settleLimit, lag)
		}
		<-time.After(lookEvery)
	}
}

// awaitNone waits until a query counts nothing.
func (g *generator) awaitNone(until time.Time, conn *pgx.Conn, query string) {
	g.Helper()
	for {
		var n int
		if err := conn.QueryRow(g.Context(), query).Scan(&n); err != nil {
			g.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(until) {
			g.Fatalf("after %v there are still %d: %s", settleLimit, n, query)
		}
		<-time.After(lookEvery)
	}
}

// wantAllAcknowledged wants every order that was acknowledged to be there.
func (g *generator) wantAllAcknowledged() {
	g.Helper()
	rows, err := g.database("orchestrator").Query(g.Context(), `SELECT id::text FROM orders`)
	if err != nil {
		g.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		g.Fatal(err)
	}
	there := make(map[string]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	missing := 0
	for _, id := range g.acknowledged {
		if !there[strings.TrimPrefix(id, "ord_")] {
			missing++
		}
	}
	if missing > 0 {
		g.Errorf("%d of %d acknowledged orders are missing", missing, len(g.acknowledged))
	}
	g.Logf("%d orders were acknowledged and are there; %d were taken in all", len(g.acknowledged)-missing, len(ids))
}

// wantCleanAudit wants every invariant to hold, at the latest when consumers have come to rest.
func (g *generator) wantCleanAudit() {
	g.Helper()
	until := time.Now().Add(time.Minute)
	for {
		var wrong []string
		err := auditing.Run(g.Context(), auditing.Sources{Conns: []*grpc.ClientConn{g.conn}, ProviderURL: g.system.Ready.PSP}, func(c *auditv1.Check) error {
			if c.GetError() != "" || c.GetViolationCount() > 0 {
				wrong = append(wrong, c.String())
			}
			return nil
		})
		if err != nil {
			g.Fatal(err)
		}
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(until) {
			g.Errorf("the audit is not clean:\n%s", strings.Join(wrong, "\n"))
			return
		}
		<-time.After(time.Second)
	}
}
