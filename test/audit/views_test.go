package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/billing"
	"github.com/tieout/tieout/services/inventory"
	"github.com/tieout/tieout/services/orchestrator"
	"github.com/tieout/tieout/services/payment"
	"github.com/tieout/tieout/services/reconciliation"
	"github.com/tieout/tieout/services/shipment"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// plant is a violation, and the checks of the service that it turns red.
type plant struct {
	name string
	sql  string
	red  string
}

func TestViews_FindWhatIsPlantedAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name       string
		migrations []pg.Migrations
		healthy    string
		plants     []plant
	}{
		{"inventory", inventory.Migrations(), healthyInventory, inventoryPlants},
		{"payment", payment.Migrations(), healthyPayment, paymentPlants},
		{"shipment", shipment.Migrations(), healthyShipment, shipmentPlants},
		{"orchestrator", orchestrator.Migrations(), healthyOrchestrator(), append(orchestratorPlants(), deadLetterPlants...)},
		{"billing", billing.Migrations(), healthyBilling, billingPlants},
		{"billing", billing.Migrations(), healthySchedules, schedulePlants},
		{"reconciliation", reconciliation.Migrations(), healthyStatements, statementPlants},
		{"reconciliation", reconciliation.Migrations(), healthyRuns, runPlants},
		{"reconciliation", reconciliation.Migrations(), healthyRuns + healthyBreaks, breakPlants},
		{"reconciliation", reconciliation.Migrations(), healthyTieOut, tieOutPlants},
	} {
		for _, p := range append(s.plants, plant{name: "nothing"}, unpublished) {
			t.Run(s.name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				dsn := pgtest.DSN(t, s.migrations...)
				execute(t, dsn, s.healthy)
				execute(t, dsn, p.sql)
				process := servicetest.Start(t, service.Service{
					Name: s.name, Migrations: s.migrations, Postgres: service.Postgres{DSN: dsn, MaxConns: 2},
					Run: func(context.Context, *service.Env) error { return nil },
				})
				if diff := cmp.Diff(p.red, red(t, run(t, servicetest.Dial(t, process, "test")))); diff != "" {
					t.Errorf("red checks (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// execute runs statements in one go, as the owner of the database.
func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// run gives what a process' AuditService finds.
func run(t *testing.T, conn *grpc.ClientConn) (checks []*auditv1.Check) {
	t.Helper()
	stream, err := auditv1.NewAuditServiceClient(conn).RunAudit(t.Context(), &auditv1.RunAuditRequest{})
	for err == nil {
		var answer *auditv1.RunAuditResponse
		if answer, err = stream.Recv(); err == nil {
			checks = append(checks, answer.GetCheck())
		}
	}
	if !errors.Is(err, io.EOF) || len(checks) == 0 {
		t.Fatalf("%d checks: %v", len(checks), err)
	}
	return checks
}

// red names the checks with violations, and fails on one that says nothing useful.
func red(t *testing.T, checks []*auditv1.Check) string {
	t.Helper()
	var names []string
	for _, c := range checks {
		if c.GetError() != "" || c.GetStatement() == "" || c.GetKind() == 0 || c.GetService() == "" {
			t.Errorf("check is not whole: %v", c)
		}
		if int(c.GetViolationCount()) != len(c.GetViolations()) {
			t.Errorf("%s counts %d violations and tells %d", c.GetName(), c.GetViolationCount(), len(c.GetViolations()))
		}
		for _, v := range c.GetViolations() {
			if v.GetId() == "" || v.GetDetail() == "" {
				t.Errorf("%s tells nothing: %v", c.GetName(), v)
			}
			t.Logf("%d_%s: %s %s", c.GetNumber(), c.GetName(), v.GetId(), v.GetDetail())
		}
		if len(c.GetViolations()) > 0 {
			names = append(names, fmt.Sprintf("%d_%s", c.GetNumber(), c.GetName()))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// uuid is the id of a thing by its number, as SQL.
func uuid(n int) string { return fmt.Sprintf("'00000000-0000-7000-8000-%012d'::uuid", n) }
