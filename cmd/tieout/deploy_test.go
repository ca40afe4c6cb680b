package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/tieout/tieout/pkg/service"
)

const deploy = "../../deploy"

// composeFile is what the tests look at of deploy/compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
	} `yaml:"services"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(deploy, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c composeFile
	if err := yaml.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// There is no engine to run the file with, so what it tells the binary is checked against the binary.
func TestCompose_TellsTheBinaryWhatItKnows(t *testing.T) {
	t.Parallel()
	running := map[string]bool{}
	for name, s := range readCompose(t).Services {
		if s.Image != "tieout" {
			continue
		}
		c := &cli{program: "tieout", stdout: t.Output(), stderr: t.Output()}
		cmd, args, err := newRoot(c).Find(s.Command)
		if err != nil || cmd.RunE == nil || cmd.HasSubCommands() {
			t.Errorf("%s: no command %v: %v", name, s.Command, err)
			continue
		}
		if err := cmd.ParseFlags(args); err != nil {
			t.Errorf("%s: %v: %v", name, s.Command, err)
		}
		var environ []string
		for key, value := range s.Environment {
			environ = append(environ, key+"="+value)
		}
		cfg := defaultConfig()
		if err := service.Load(&cfg, service.Sources{Environ: environ}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cmd.Name() != "serve" || cmd.Parent().Name() == "psp" {
			continue
		}
		chosen, err := choose(services(cfg), s.Command[1:2])
		if err != nil || needDSN(chosen) != nil {
			t.Errorf("%s: %v, %v", name, err, needDSN(chosen))
		}
		for _, one := range chosen {
			running[one.Name] = true
		}
	}
	for _, name := range serviceNames() {
		if !running[name] {
			t.Errorf("service %s does not run", name)
		}
	}
}

func TestCompose_MountsWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, s := range readCompose(t).Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join(deploy, source)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestNATSConfig_SyncsEveryWrite(t *testing.T) {
	t.Parallel()
	o, err := server.ProcessConfigFile(filepath.Join(deploy, "nats", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !o.JetStream || !o.SyncAlways {
		t.Errorf("JetStream is %v, SyncAlways %v; want both", o.JetStream, o.SyncAlways)
	}
}

func TestPostgresInit_MakesEveryServiceItsDatabase(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(deploy, "compose", "postgres-init.sh"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^for service in (.*); do$`).FindSubmatch(raw)
	if found == nil {
		t.Fatal("no loop over the services")
	}
	made := map[string]bool{}
	for name := range strings.FieldsSeq(string(found[1])) {
		made[name] = true
	}
	for _, s := range withDatabase(services(Config{})) {
		if !made[s.Name] {
			t.Errorf("no database for %s", s.Name)
		}
	}
}

// The image is built where there is an engine; that its build command works is checked here.
func TestDockerfile_BuildsThisModule(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if version == nil || !strings.Contains(string(raw), "FROM golang:"+string(version[1])+" ") {
		t.Errorf("the image is not built with the Go version of go.mod, %s", version[1])
	}
	for _, want := range []string{"CGO_ENABLED=0 go build", "./cmd/tieout", "USER 65532"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}

// What the compose file tells the collector is what its configuration asks for.
func TestCompose_TellsTheCollectorWhatItAsksFor(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(deploy, "observability", "collector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, found := range regexp.MustCompile(`\$\{env:(COLLECTOR_\w+):-`).FindAllStringSubmatch(string(raw), -1) {
		asked[found[1]] = true
	}
	told := readCompose(t).Services["collector"].Environment
	for name := range told {
		if !asked[name] {
			t.Errorf("the collector is told %s, and does not ask for it", name)
		}
	}
	if len(asked) == 0 || len(told) != len(asked) {
		t.Errorf("the collector asks for %d settings and is told %d", len(asked), len(told))
	}
}
