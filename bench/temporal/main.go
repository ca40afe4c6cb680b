// The command temporal is Temporal's server with all its roles in one process, on a Postgres that it makes its databases in. It
// is set up for throughput: 512 shards, workflows and activities that start eagerly, and no limits that a benchmark would meet.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/temporal"
	"go.temporal.io/server/tools/sql"
)

const (
	plugin = "postgres12"
	shards = 512
)

func main() {
	frontend := flag.Int("frontend", 7233, "port that clients come to")
	postgres := flag.String("postgres", "127.0.0.1:5432", "host:port of Postgres")
	user := flag.String("user", "postgres", "a superuser there; the password is in SQL_PASSWORD")
	flag.Parse()
	if err := run(*frontend, *postgres, *user); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(frontend int, postgres, user string) error {
	for database, schema := range map[string]string{"temporal": "temporal", "temporal_visibility": "visibility"} {
		if err := makeDatabase(postgres, user, database, "postgresql/v12/"+schema); err != nil {
			return err
		}
	}
	cfg, err := configuration(frontend, postgres, user)
	if err != nil {
		return err
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: "warn"}))),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithDynamicConfigClient(unlimited()),
		temporal.InterruptOn(temporal.InterruptCh()),
	)
	if err != nil {
		return err
	}
	return server.Start()
}

// makeDatabase makes a database with Temporal's own tool.
func makeDatabase(postgres, user, database, schema string) error {
	host, port, err := net.SplitHostPort(postgres)
	if err != nil {
		return err
	}
	tool := []string{"temporal-sql-tool", "--endpoint", host, "--port", port, "--user", user, "--plugin", plugin, "--database", database}
	for _, args := range [][]string{{"create-database"}, {"setup-schema", "--version", "0.0"}, {"update-schema", "--schema-name", schema}} {
		if err := sql.RunTool(append(tool, args...)); err != nil {
			return fmt.Errorf("%s of %s: %w", args[0], database, err)
		}
	}
	return nil
}

// unlimited is what may be changed while a server runs: its rates are not limited.
func unlimited() dynamicconfig.StaticClient {
	const none = 1_000_000
	settings := dynamicconfig.StaticClient{}
	for _, key := range []string{
		"frontend.rps", "frontend.namespaceRPS", "frontend.persistenceMaxQPS", "history.rps", "history.persistenceMaxQPS", "matching.rps",
		"matching.persistenceMaxQPS", "worker.persistenceMaxQPS", "system.visibilityPersistenceMaxWriteQPS",
	} {
		settings[dynamicconfig.MakeKey(key)] = none
	}
	settings[dynamicconfig.MakeKey("system.enableActivityEagerExecution")] = true
	settings[dynamicconfig.MakeKey("system.enableEagerWorkflowStart")] = true
	return settings
}

// configuration is as that of Temporal's own config/development-postgres12.yaml, with more shards and connections.
func configuration(frontend int, postgres, user string) (*config.Config, error) {
	store := func(database string, conns int) config.DataStore {
		return config.DataStore{SQL: &config.SQL{
			PluginName: plugin, DatabaseName: database, ConnectAddr: postgres, ConnectProtocol: "tcp", User: user, Password: os.Getenv("SQL_PASSWORD"),
			MaxConns: conns, MaxIdleConns: conns, MaxConnLifetime: time.Hour,
		}}
	}
	cfg := &config.Config{
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}},
		Persistence: config.Persistence{
			DefaultStore: "default", VisibilityStore: "visibility", NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{"default": store("temporal", 64), "visibility": store("temporal_visibility", 16)},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: "active", CurrentClusterName: "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: fmt.Sprintf("127.0.0.1:%d", frontend)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: fmt.Sprintf("127.0.0.1:%d", frontend)},
		Archival: config.Archival{
			History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History: config.HistoryArchivalNamespaceDefaults{State: "disabled"}, Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		Services: map[string]config.Service{},
	}
	for _, role := range temporal.DefaultServices {
		rpc := config.RPC{BindOnLocalHost: true}
		var err error
		if rpc.GRPCPort, err = freePort(); err == nil {
			rpc.MembershipPort, err = freePort()
		}
		if err != nil {
			return nil, err
		}
		if role == "frontend" {
			rpc.GRPCPort = frontend
		}
		cfg.Services[role] = config.Service{RPC: rpc}
	}
	return cfg, nil
}

// freePort is a port that nobody had a moment ago. Temporal keeps ports in a column of two bytes.
func freePort() (int, error) {
	for {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return port, l.Close()
	}
}
