package arch

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// layers says what of this module the packages of each layer may import. A service stands for itself:
// `services/<own>` is its own tree, and no other's. The kit knows the contracts that are the same for every service: the
// options of methods, the common values, the audit and the dead letters that each process answers for on the databases it works on, and
// its traces.
var layers = map[string][]string{
	"cmd":      {"cmd", "services", "pkg", "gen"},
	"services": {"services/<own>", "pkg", "gen"},
	"pkg":      {"pkg", "gen/tieout/options", "gen/tieout/common", "gen/tieout/audit", "gen/tieout/deadletter", "gen/tieout/trace"},
	"gen":      {"gen"},
	"test":     {"cmd", "services", "pkg", "gen", "test"},
}

// genFiles are the files of a service that may know the generated types of the contracts. One that answers several
// contracts, or calls many, may have a file for each: server_schedule.go, convert_schedule.go, steps_repair.go.
var genFiles = []string{"server.go", "convert.go", "events.go", "steps.go"}

// knowsGen says whether s is one of genFiles.
func (s *source) knowsGen() bool {
	of, _, several := strings.Cut(s.base, "_")
	return slices.Contains(genFiles, s.base) || several && (of == "server" || of == "convert" || of == "steps")
}

// purePackages decide and do nothing else: state and event in, state and commands out.
var purePackages = []string{
	"services/orchestrator/saga",
	"services/inventory/stock",
	"services/payment/ledger",
	"services/billing/calendar",
	"services/billing/dunning",
	"services/reconciliation/breaks",
	"services/reconciliation/match",
	"services/reconciliation/tieout",
	"services/reconciliation/rules",
}

// impure are the packages of the standard library that a decision does not need.
var impure = []string{
	"context", "crypto/rand", "database", "io/fs", "log", "math/rand", "net", "os", "path/filepath", "sync", "syscall",
}

// clock is what makes package time more than a vocabulary.
var clock = names{"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}}

// processWide is what belongs to the process and not to a package, hence to cmd.
var processWide = names{
	"os":                       {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv", "Exit"},
	"log":                      {"Fatal", "Fatalf", "Fatalln", "SetOutput", "SetFlags"},
	"log/slog":                 {"SetDefault", "SetLogLoggerLevel"},
	"net/http":                 {"Handle", "HandleFunc", "DefaultServeMux"},
	"go.opentelemetry.io/otel": {"SetTracerProvider", "SetMeterProvider", "SetTextMapPropagator", "SetErrorHandler", "SetLogger"},
}

func TestImports_PointFromCmdToServicesToKit(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.sources {
		allowed, known := layers[s.top()]
		if !known {
			t.Errorf("%s:1: Go code lives in cmd, services, pkg, gen or test", s.path)
			continue
		}
		for _, spec := range s.ast.Imports {
			target, ours := ownImport(spec)
			if !ours || s.mayImport(target, allowed) {
				continue
			}
			t.Errorf("%s:%d: %s may import only %s of this module, not %s",
				s.path, tr.line(spec), s.top(), strings.Join(allowed, ", "), target)
		}
	}
}

// mayImport says whether the layer of s allows target. Tests and kits may speak any contract.
func (s *source) mayImport(target string, allowed []string) bool {
	if under(target, "gen") && (s.isTest() || s.isKit()) {
		return true
	}
	return slices.ContainsFunc(allowed, func(dir string) bool {
		return under(target, strings.Replace(dir, "services/<own>", s.service(), 1))
	})
}

// service is the directory of the service s belongs to: "services/payment".
func (s *source) service() string {
	parts := strings.SplitN(s.dir, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func TestImports_GeneratedTypesStopAtTheEdgeOfAService(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		if s.top() != "services" || s.isTest() || s.isKit() || s.knowsGen() {
			continue
		}
		for _, spec := range s.ast.Imports {
			if target, ours := ownImport(spec); ours && under(target, "gen") {
				t.Errorf("%s:%d: in a service only %s know generated types", s.path, tr.line(spec), strings.Join(genFiles, ", "))
			}
		}
	}
}

func TestImports_TestKitsAreNotLinkedIntoTheProduct(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		if s.isTest() || s.isKit() {
			continue
		}
		for _, spec := range s.ast.Imports {
			target, ours := ownImport(spec)
			if ours && (strings.HasSuffix(target, "test") || under(target, "test")) || target == "testing" {
				t.Errorf("%s:%d: only tests and test kits (packages named *test) import %s", s.path, tr.line(spec), target)
			}
		}
	}
}

func TestPurePackages_OnlyDecide(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		pure := slices.ContainsFunc(purePackages, func(dir string) bool { return under(s.dir, dir) })
		if !pure || s.isTest() || s.isKit() {
			continue
		}
		for _, spec := range s.ast.Imports {
			if target, ours := ownImport(spec); !allowedInPure(s, target, ours) {
				t.Errorf("%s:%d: a pure package imports pkg/money, pure packages of its own service and the standard library without I/O, not %s",
					s.path, tr.line(spec), target)
			}
		}
		s.uses(clock, func(node ast.Node, name string) {
			t.Errorf("%s:%d: a pure package is told the time and does not read it: %s", s.path, tr.line(node), name)
		})
		ast.Inspect(s.ast, func(node ast.Node) bool {
			if _, ok := node.(*ast.GoStmt); ok {
				t.Errorf("%s:%d: a pure package starts no goroutine", s.path, tr.line(node))
			}
			return true
		})
	}
}

func allowedInPure(s *source, target string, ours bool) bool {
	if ours {
		return target == "pkg/money" || slices.ContainsFunc(purePackages, func(dir string) bool {
			return under(target, dir) && under(target, s.service())
		})
	}
	first, _, _ := strings.Cut(target, "/")
	thirdParty := strings.Contains(first, ".")
	return !thirdParty && !slices.ContainsFunc(impure, func(dir string) bool { return under(target, dir) })
}

func TestProcess_BelongsToCmd(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		if s.top() == "cmd" || s.isTest() || s.isKit() {
			continue
		}
		s.uses(processWide, func(node ast.Node, name string) {
			t.Errorf("%s:%d: only cmd reads the environment, ends the process or installs globals, not %s", s.path, tr.line(node), name)
		})
	}
}

func TestProcess_StartsWithoutInit(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		for _, decl := range s.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s:%d: nothing happens before main: no func init", s.path, tr.line(fn))
			}
		}
	}
}

// ownImport returns the imported directory of this module, or the import path of another's package.
func ownImport(spec *ast.ImportSpec) (target string, ours bool) {
	return strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/")
}

// under says whether name is dir or lies below it.
func under(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}
