package arch

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The budgets. A thing that outgrows its budget has a part that wants a name of its own.
const (
	maxFileLines       = 400
	maxTestFileLines   = 600
	maxRunLines        = 120 // of a service's run.go: its wiring is read top to bottom
	maxFuncLines       = 60
	maxMethods         = 5 // of an interface
	maxConstructorArgs = 3 // besides the context; more go into a struct with named fields
	maxDependencies    = 40
)

func TestBudget_Files(t *testing.T) {
	t.Parallel()
	for _, s := range house(t).written() {
		budget, kind := maxFileLines, "a file"
		switch {
		case s.isTest():
			budget, kind = maxTestFileLines, "a test file"
		case s.base == "run.go" && s.top() == "services":
			budget, kind = maxRunLines, "run.go"
		}
		if s.lines > budget {
			t.Errorf("%s:%d: %s has at most %d lines, not %d", s.path, budget+1, kind, budget, s.lines)
		}
	}
}

func TestBudget_Functions(t *testing.T) {
	t.Parallel()
	tr := house(t)
	eachFunc(tr, func(s *source, fn *ast.FuncDecl) {
		if lines := tr.span(fn); lines > maxFuncLines {
			t.Errorf("%s:%d: a function has at most %d lines, %s has %d", s.path, tr.line(fn), maxFuncLines, fn.Name.Name, lines)
		}
	})
}

func TestBudget_Interfaces(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		ast.Inspect(s.ast, func(node ast.Node) bool {
			if typ, ok := node.(*ast.InterfaceType); ok && typ.Methods.NumFields() > maxMethods {
				t.Errorf("%s:%d: an interface has at most %d methods, not %d", s.path, tr.line(typ), maxMethods, typ.Methods.NumFields())
			}
			return true
		})
	}
}

var constructor = regexp.MustCompile(`^(New|Open|Start)([A-Z]|$)`)

func TestBudget_ConstructorArguments(t *testing.T) {
	t.Parallel()
	tr := house(t)
	eachFunc(tr, func(s *source, fn *ast.FuncDecl) {
		if s.isTest() || fn.Recv != nil || !constructor.MatchString(fn.Name.Name) {
			return
		}
		args := fn.Type.Params.NumFields()
		if args > 0 && isContext(fn.Type.Params.List[0].Type) {
			args--
		}
		if args > maxConstructorArgs {
			t.Errorf("%s:%d: a constructor takes at most %d arguments besides the context, %s takes %d",
				s.path, tr.line(fn), maxConstructorArgs, fn.Name.Name, args)
		}
	})
}

func isContext(typ ast.Expr) bool {
	selector, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	return ok && pkg.Name == "context" && selector.Sel.Name == "Context"
}

func TestBudget_DirectDependencies(t *testing.T) {
	t.Parallel()
	edit := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	edit.Dir = root
	out, err := edit.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&mod); err != nil {
		t.Fatalf("decoding go.mod: %v", err)
	}
	direct := map[string]bool{}
	for _, require := range mod.Require {
		if !require.Indirect {
			direct[repository(require.Path)] = true
		}
	}
	if len(direct) > maxDependencies {
		t.Errorf("go.mod:1: the product has at most %d direct dependencies, not %d", maxDependencies, len(direct))
	}
}

// repository is where a module comes from: the modules of one repository are released together by the same people, and
// count once. They are told apart by path only where the path says so.
func repository(module string) string {
	for _, r := range []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/contrib"} {
		if module == r || strings.HasPrefix(module, r+"/") {
			return r
		}
	}
	return module
}

func TestDocs_EveryPackageIsDocumentedOnce(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for dir, files := range tr.packages() {
		var documented []string
		built := 0
		for _, s := range files {
			if !s.isTest() {
				built++
			}
			if doc := s.ast.Doc.Text(); doc != "" {
				documented = append(documented, s.path)
				if name := s.ast.Name.Name; name != "main" && !strings.HasPrefix(doc, "Package "+name+" ") {
					t.Errorf("%s:%d: the comment of a package begins with its name: Package %s", s.path, tr.line(s.ast.Doc), name)
				}
			}
		}
		switch {
		case len(documented) != 1:
			t.Errorf("%s/doc.go:1: every package is documented exactly once, not %d times (%s)", dir, len(documented), strings.Join(documented, ", "))
		case built > 1 && documented[0] != dir+"/doc.go" && files[0].ast.Name.Name != "main":
			t.Errorf("%s:1: a package of several files is documented in doc.go", documented[0])
		}
	}
}

func TestDocs_ExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	tr := house(t)
	for _, s := range tr.written() {
		if s.isTest() {
			continue
		}
		for _, decl := range s.ast.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s:%d: an exported name says what it means: %s has no comment", s.path, tr.line(name), name.Name)
			}
		}
	}
}

// undocumented returns the exported names that decl declares and says nothing about. A comment on a group
// of constants or variables is about each of them; a type has its own.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && decl.Doc == nil && (decl.Recv == nil || ast.IsExported(receiver(decl))) {
			return []*ast.Ident{decl.Name}
		}
	case *ast.GenDecl:
		var bare []*ast.Ident
		for _, spec := range decl.Specs {
			for _, name := range undocumentedIn(spec, decl) {
				if name.IsExported() {
					bare = append(bare, name)
				}
			}
		}
		return bare
	}
	return nil
}

func undocumentedIn(spec ast.Spec, group *ast.GenDecl) []*ast.Ident {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Doc == nil && spec.Comment == nil && (group.Doc == nil || group.Lparen.IsValid()) {
			return []*ast.Ident{spec.Name}
		}
	case *ast.ValueSpec:
		if spec.Doc == nil && spec.Comment == nil && group.Doc == nil {
			return spec.Names
		}
	}
	return nil
}

// receiver is the name of the type fn is a method of.
func receiver(fn *ast.FuncDecl) string {
	typ := fn.Recv.List[0].Type
	for {
		switch of := typ.(type) {
		case *ast.StarExpr:
			typ = of.X
		case *ast.IndexExpr:
			typ = of.X
		case *ast.IndexListExpr:
			typ = of.X
		case *ast.Ident:
			return of.Name
		default:
			return ""
		}
	}
}

// eachFunc calls visit for every function and method that people wrote.
func eachFunc(tr *tree, visit func(*source, *ast.FuncDecl)) {
	for _, s := range tr.written() {
		for _, decl := range s.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				visit(s, fn)
			}
		}
	}
}
