package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/tieout/tieout"
)

// tree is the module as it stands on disk, read and parsed once for all rules. All paths are relative to
// the root of the repository and have slashes.
type tree struct {
	fset    *token.FileSet
	sources []*source
	texts   map[string][]byte // every text file that is tracked or about to be, the Go files included
	others  []string          // and what is no text
}

// source is one Go file of the product's module.
type source struct {
	path, dir, base string
	ast             *ast.File
	lines           int
	generated       bool
	imports         map[string]string // local name → import path
}

// isTest says whether the file is only ever built by `go test`.
func (s *source) isTest() bool { return strings.HasSuffix(s.base, "_test.go") }

// isKit says whether the file is code for tests: in a test kit (a package whose name ends in "test") or
// under test/.
func (s *source) isKit() bool {
	return strings.HasSuffix(s.dir, "test") || s.top() == "test"
}

// top is the first element of the file's directory: cmd, services, pkg, gen, test.
func (s *source) top() string {
	first, _, _ := strings.Cut(s.dir, "/")
	return first
}

// written returns the files people write: all but the generated ones.
func (t *tree) written() []*source {
	return slices.DeleteFunc(slices.Clone(t.sources), func(s *source) bool { return s.generated })
}

// packages returns the written files by directory.
func (t *tree) packages() map[string][]*source {
	byDir := map[string][]*source{}
	for _, s := range t.written() {
		byDir[s.dir] = append(byDir[s.dir], s)
	}
	return byDir
}

// line is the number of the line node begins on.
func (t *tree) line(node ast.Node) int { return t.fset.Position(node.Pos()).Line }

// span is the number of lines node takes.
func (t *tree) span(node ast.Node) int {
	return t.fset.Position(node.End()).Line - t.line(node) + 1
}

var loadOnce = sync.OnceValues(load)

// house returns the tree, shared by all tests; none changes it.
func house(t *testing.T) *tree {
	t.Helper()
	tr, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func load() (*tree, error) {
	files, err := listFiles()
	if err != nil {
		return nil, err
	}
	tr := &tree{fset: token.NewFileSet(), texts: map[string][]byte{}}
	for _, name := range files {
		src, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted, and not yet out of git's index
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(src, 0) < 0 {
			tr.texts[name] = src
		} else {
			tr.others = append(tr.others, name)
		}
	}
	nested := otherModules(tr.texts)
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		other := slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(name, dir+"/") })
		if other || path.Ext(name) != ".go" {
			continue
		}
		s, err := parse(tr.fset, name, tr.texts[name])
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", name, err)
		}
		tr.sources = append(tr.sources, s)
	}
	return tr, nil
}

// listFiles asks git, so that what .gitignore names is left out; without a repository it walks.
func listFiles() ([]string, error) {
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	if out, err := git.Output(); err == nil {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), nil
	}
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || name == ".git" || name == ".tieout"):
			return fs.SkipDir
		case d.Type().IsRegular():
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// otherModules returns the directories that have a go.mod of their own: tools and bench.
func otherModules(texts map[string][]byte) []string {
	var dirs []string
	for name := range texts {
		if path.Base(name) == "go.mod" && path.Dir(name) != "." {
			dirs = append(dirs, path.Dir(name))
		}
	}
	return dirs
}

var versionSuffix = regexp.MustCompile(`/v[0-9]+$`)

func parse(fset *token.FileSet, name string, src []byte) (*source, error) {
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s := &source{
		path: name, dir: path.Dir(name), base: path.Base(name),
		ast:       file,
		lines:     bytes.Count(src, []byte("\n")),
		generated: ast.IsGenerated(file),
		imports:   map[string]string{},
	}
	for _, spec := range file.Imports {
		target := strings.Trim(spec.Path.Value, `"`)
		local := path.Base(versionSuffix.ReplaceAllString(target, ""))
		if spec.Name != nil {
			local = spec.Name.Name
		}
		s.imports[local] = target
	}
	return s, nil
}

// names are what a package exports, by import path.
type names map[string][]string

// uses calls found for every mention of one of the wanted names in s.
func (s *source) uses(wanted names, found func(node ast.Node, name string)) {
	ast.Inspect(s.ast, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok && slices.Contains(wanted[s.imports[pkg.Name]], selector.Sel.Name) {
			found(node, pkg.Name+"."+selector.Sel.Name)
		}
		return true
	})
}

// place is file and line of the first mention of what in text.
func place(name string, text []byte, what string) string {
	before, _, _ := bytes.Cut(text, []byte(what))
	return fmt.Sprintf("%s:%d:", name, bytes.Count(before, []byte("\n"))+1)
}
