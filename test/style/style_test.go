// Package style holds the project's own rules of size and structure, which
// ARCHITECTURE.md states, over all Go code of the checkout.
package style

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The limits, in lines.
const (
	fileLimit     = 400
	functionLimit = 70
	usualLimit    = 35 // nine functions of ten
)

// source is one parsed Go file.
type source struct {
	path  string // from the checkout's root
	lines int
	set   *token.FileSet
	file  *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// product reports whether the file is part of the program, not of its tests.
func (s source) product() bool { return !s.test() && !strings.HasPrefix(s.path, "test/") }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

func sources(t *testing.T) []source {
	t.Helper()
	const root = "../.."
	var all []source
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		all = append(all, source{short, strings.Count(string(text), "\n"), set, file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSizes(t *testing.T) {
	var lengths []int
	for _, s := range sources(t) {
		if s.lines > fileLimit {
			t.Errorf("%s has %d lines, want at most %d", s.path, s.lines, fileLimit)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if n > functionLimit {
				t.Errorf("%s: %s has %d lines, want at most %d", s.at(f), f.Name.Name, n, functionLimit)
			}
			if s.product() {
				lengths = append(lengths, n)
			}
		}
	}
	slices.Sort(lengths)
	if n := lengths[len(lengths)*9/10]; n > usualLimit {
		t.Errorf("one function of ten has more than %d lines, want at most %d", n, usualLimit)
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			for name, doc := range exported(d) {
				if doc == nil {
					t.Errorf("%s: %s has no comment", s.at(d), name)
				}
			}
		}
	}
}

// exported are the exported names of a declaration with their comments.
func exported(d ast.Decl) map[string]*ast.CommentGroup {
	names := make(map[string]*ast.CommentGroup)
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && receiverExported(d) {
			names[d.Name.Name] = d.Doc
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			doc := d.Doc
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Doc != nil {
					doc = spec.Doc
				}
				if spec.Name.IsExported() {
					names[spec.Name.Name] = doc
				}
			case *ast.ValueSpec:
				if spec.Doc != nil {
					doc = spec.Doc
				} else if spec.Comment != nil {
					doc = spec.Comment
				}
				for _, name := range spec.Names {
					if name.IsExported() {
						names[name.Name] = doc
					}
				}
			}
		}
	}
	return names
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return !ok || name.IsExported()
}

func TestNoInitAndNoMutablePackageState(t *testing.T) {
	for _, s := range sources(t) {
		if !s.product() {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: init", s.at(f))
			}
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR || embeds(g) {
				continue
			}
			for _, spec := range g.Specs {
				// A variable without a first value is there to be changed. One that
				// main's linker flags fill has one: "dev".
				if v := spec.(*ast.ValueSpec); len(v.Values) == 0 {
					t.Errorf("%s: package variable %s", s.at(v), v.Names[0].Name)
				}
			}
		}
	}
}

// embeds reports whether a variable has the content of files, and stays without a value here.
func embeds(g *ast.GenDecl) bool {
	return g.Doc != nil && slices.ContainsFunc(g.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// deps are all packages that a package of ours needs, itself aside.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "./"+pkg)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

func TestPackagesKnowOnlyWhatTheyMay(t *testing.T) {
	for pkg, forbidden := range map[string][]string{
		"fcgi": {"wsfpm/session", "wsfpm/gateway", "github.com/coder/websocket", "github.com/redis/go-redis", "go.uber.org/zap"},
		"session": {"wsfpm/fcgi", "wsfpm/gateway", "github.com/coder/websocket", "github.com/redis/go-redis", "github.com/yookoala/gofast",
			"go.uber.org/zap"},
		"gateway/out":     {"wsfpm/fcgi", "wsfpm/gateway", "github.com/coder/websocket", "github.com/redis/go-redis", "go.uber.org/zap"},
		"gateway/ws":      {"wsfpm/fcgi", "wsfpm/gateway/bus", "wsfpm/gateway/admin", "wsfpm/gateway/config", "github.com/redis/go-redis"},
		"gateway/bus":     {"wsfpm/fcgi", "wsfpm/gateway/ws", "wsfpm/gateway/admin", "github.com/coder/websocket", "github.com/yookoala/gofast"},
		"gateway/redis":   {"wsfpm/fcgi", "wsfpm/session", "wsfpm/gateway/bus", "wsfpm/gateway/config", "go.uber.org/zap"},
		"gateway/durable": {"wsfpm/fcgi", "wsfpm/gateway/ws", "wsfpm/gateway/bus", "wsfpm/gateway/config", "wsfpm/gateway/delivery", "github.com/coder/websocket"},
		"gateway/config":  {"wsfpm/fcgi", "wsfpm/gateway/ws", "wsfpm/gateway/bus", "github.com/coder/websocket", "github.com/yookoala/gofast"},
		"gateway":         {"github.com/prometheus/client_golang", "wsfpm/gateway/admin", "wsfpm/gateway/poolfile"},
	} {
		needed := deps(t, pkg)
		for _, f := range forbidden {
			for _, dep := range needed {
				if (dep == f || strings.HasPrefix(dep, f+"/")) && dep != "wsfpm/"+pkg {
					t.Errorf("%s needs %s", pkg, dep)
				}
			}
		}
	}
}

// Every package of the product stands in the table of ARCHITECTURE.md.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, s := range sources(t) {
		pkg := filepath.Dir(s.path)
		if s.product() && !named[pkg] && !strings.Contains(string(page), "`"+pkg+"`") {
			t.Errorf("ARCHITECTURE.md does not name package %s", pkg)
		}
		named[pkg] = true
	}
}

func TestSessionDoesNoIO(t *testing.T) {
	for _, s := range sources(t) {
		if !s.product() || filepath.Dir(s.path) != "session" {
			continue
		}
		for _, i := range s.file.Imports {
			switch strings.Trim(i.Path.Value, `"`) {
			case "net", "net/http", "os", "log", "log/slog", "context", "time":
				t.Errorf("%s imports %s", s.path, i.Path.Value)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a goroutine", s.at(g))
			}
			return true
		})
	}
}

// The gateway has coder/websocket for its server's side, and wsfpm doctor for its client.
func TestOnePackageImportsEachLibrary(t *testing.T) {
	shared := map[string]string{"github.com/coder/websocket": "cmd/wsfpm/doctor"}
	users := make(map[string][]string)
	for _, s := range sources(t) {
		if !s.product() {
			continue
		}
		for _, i := range s.file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if !strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				continue // the standard library, or ours
			}
			module := strings.Join(strings.SplitN(path, "/", 4)[:min(3, strings.Count(path, "/")+1)], "/")
			dir := filepath.Dir(s.path)
			if !slices.Contains(users[module], dir) && shared[module] != dir {
				users[module] = append(users[module], dir)
			}
		}
	}
	for module, dirs := range users {
		if len(dirs) > 1 && !strings.HasPrefix(module, "go.uber.org/zap") && module != "golang.org/x/sys" {
			t.Errorf("%s is imported by %v, want one package", module, dirs)
		}
	}
}
