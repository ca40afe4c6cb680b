package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/service"
)

// config is what a process of one service is configured by.
type config struct {
	service.Config
	Inventory inventory `koanf:"inventory"`
}

type inventory struct {
	Postgres       service.Postgres `koanf:"postgres"`
	IdempotencyTTL time.Duration    `koanf:"idempotency_ttl"`
}

func defaults() config {
	return config{
		Config:    service.DefaultConfig(),
		Inventory: inventory{Postgres: service.Postgres{MaxConns: 16}, IdempotencyTTL: 24 * time.Hour},
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLoad_WithoutSourcesLeavesTheDefaults(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]service.Sources{
		"none":                       {},
		"an empty file":              {File: writeFile(t, "")},
		"only comments":              {File: writeFile(t, "# grpc:\n")},
		"other people's environment": {Environ: []string{"PATH=/bin", "TIEOUTX=1", "=odd", "PGHOST=elsewhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := defaults()
			if err := service.Load(&got, src); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(defaults(), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_LetsEachLayerOverrideTheOneBefore(t *testing.T) {
	t.Parallel()
	got := defaults()
	err := service.Load(&got, service.Sources{
		File: writeFile(t, `
grpc:
  addr: file:1
http:
  addr: file:2
nats:
  replicas: 3
stop_timeout: 1m30s
insecure: true
inventory:
  postgres:
    dsn: postgres://file
  idempotency_ttl: 48h
`),
		Environ: []string{
			"TIEOUT_HTTP_ADDR=env:2", "TIEOUT_INVENTORY_POSTGRES_DSN=postgres://env", "TIEOUT_INVENTORY_POSTGRES_MAX_CONNS=8",
			"TIEOUT_TELEMETRY_SAMPLE_RATIO=0.5", "TIEOUT_START_TIMEOUT=5s", "TIEOUT_INSECURE=false",
		},
		Flags: map[string]any{"inventory.postgres.dsn": "postgres://flag", "log.level": "debug", "start_timeout": 7 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.GRPC.Addr = "file:1"
	want.HTTP.Addr = "env:2"
	want.NATS.Replicas = 3
	want.StopTimeout = 90 * time.Second
	want.StartTimeout = 7 * time.Second
	want.Log.Level = "debug"
	want.Telemetry.SampleRatio = 0.5
	want.Inventory = inventory{Postgres: service.Postgres{DSN: "postgres://flag", MaxConns: 8}, IdempotencyTTL: 48 * time.Hour}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_ReadsSecretsFromFiles(t *testing.T) {
	t.Parallel()
	got := defaults()
	err := service.Load(&got, service.Sources{
		Environ: []string{"TIEOUT_INVENTORY_POSTGRES_DSN_FILE=" + writeFile(t, "postgres://secret=\r\n")},
	})
	if err != nil || got.Inventory.Postgres.DSN != "postgres://secret=" {
		t.Errorf("got %q, %v", got.Inventory.Postgres.DSN, err)
	}
}

func TestLoad_IgnoresVariablesThatAreNoConfiguration(t *testing.T) {
	t.Parallel()
	got := defaults()
	err := service.Load(&got, service.Sources{Environ: []string{"TIEOUT_ADDR=127.0.0.1:1"}, Ignore: []string{"TIEOUT_ADDR"}})
	if err != nil {
		t.Error(err)
	}
}

func TestLoad_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	yaml := func(text string) service.Sources { return service.Sources{File: writeFile(t, text)} }
	env := func(assignments ...string) service.Sources { return service.Sources{Environ: assignments} }
	for name, test := range map[string]struct {
		src  service.Sources
		want string
	}{
		"a file that is not there":       {service.Sources{File: "/nowhere/tieout.yaml"}, "/nowhere/tieout.yaml"},
		"a file that is no YAML":         {yaml("grpc: [\n"), "parsing configuration"},
		"an unknown key":                 {yaml("stop_timeuot: 1s\n"), "stop_timeuot"},
		"an unknown key further in":      {yaml("inventory:\n  postgres:\n    dns: x\n"), "dns"},
		"a section that is no section":   {yaml("grpc: 127.0.0.1:1\n"), "grpc"},
		"an unknown variable":            {env("TIEOUT_GRPC_ADRR=x"), "TIEOUT_GRPC_ADRR"},
		"an unknown variable with _FILE": {env("TIEOUT_NOTHING_FILE=x"), "TIEOUT_NOTHING_FILE"},
		"a section as a variable":        {env("TIEOUT_GRPC=x"), "TIEOUT_GRPC"},
		"a secret that is not there":     {env("TIEOUT_NATS_URL_FILE=/nowhere/url"), "TIEOUT_NATS_URL_FILE"},
		"a variable and its file":        {env("TIEOUT_NATS_URL=x", "TIEOUT_NATS_URL_FILE="+writeFile(t, "y")), "nats.url is set twice"},
		"an unknown flag":                {service.Sources{Flags: map[string]any{"grpc.port": 1}}, "port"},
		"a time without a unit":          {env("TIEOUT_STOP_TIMEOUT=30"), "stop_timeout"},
		"a bare number for a time":       {yaml("stop_timeout: 30\n"), "stop_timeout"},
		"no number":                      {env("TIEOUT_NATS_REPLICAS=three"), "replicas"},
		"no truth value":                 {env("TIEOUT_INSECURE=perhaps"), "insecure"},
		"what the program sets":          {yaml("telemetry:\n  version: x\n"), "version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := defaults()
			err := service.Load(&got, test.src)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that names %s", err, test.want)
			}
		})
	}
}

func TestLoad_NamesAllUnknownVariablesAtOnce(t *testing.T) {
	t.Parallel()
	got := defaults()
	err := service.Load(&got, service.Sources{Environ: []string{"TIEOUT_ONE=1", "TIEOUT_TWO=2"}})
	if err == nil || !strings.Contains(err.Error(), "TIEOUT_ONE") || !strings.Contains(err.Error(), "TIEOUT_TWO") {
		t.Errorf("got %v, want both named", err)
	}
}
