package style

import (
	"cmp"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mostUpward is how many pairs of files of a package may refer back up against the
// reading order that its doc.go states.
var mostUpward = map[string]int{"gateway": 2}

// A reference is a pair of files, one of which uses functions, methods, variables or
// constants that the other declares. Types, their fields and the methods of interfaces
// do not count: a value that is handed on along the walk is declared once, whatever the
// direction.
func TestFilesReferToLaterOnes(t *testing.T) {
	for pkg, most := range mostUpward {
		var upward []string
		order := readingOrder(t, pkg)
		references := fileReferences(t, pkg)
		for from, names := range references {
			for to, name := range names {
				if order[from] > order[to] {
					upward = append(upward, from+" uses "+name+" of "+to)
				}
				if order[from] == 0 || order[to] == 0 {
					t.Errorf("%s: doc.go does not list %s and %s in the reading order", pkg, from, to)
				}
			}
		}
		t.Logf("%s: %d references back up", pkg, len(upward))
		if len(upward) > most {
			slices.Sort(upward)
			t.Errorf("%s: %d references back up against the order in doc.go, want at most %d:\n%s", pkg, len(upward), most, strings.Join(upward, "\n"))
		}
	}
}

// readingOrder is the place, from 1, of each file that a package's doc.go names.
func readingOrder(t *testing.T, pkg string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", pkg, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	order := make(map[string]int)
	for _, name := range regexp.MustCompile(`\w+\.go\b`).FindAllString(string(text), -1) {
		order[name] = cmp.Or(order[name], len(order)+1)
	}
	return order
}

// fileReferences are the references between the files of a package, each with a name
// that is used.
func fileReferences(t *testing.T, pkg string) map[string]map[string]string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, s := range sources(t) {
		if filepath.Dir(s.path) != pkg || !s.product() {
			continue
		}
		built, err := build.Default.MatchFile(filepath.Join("../..", pkg), filepath.Base(s.path))
		if err != nil {
			t.Fatal(err)
		}
		if built { // on this platform
			files = append(files, s.file)
			set = s.set
		}
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	checker := types.Config{Importer: importer.ForCompiler(set, "gc", exports(t, pkg))}
	typed, err := checker.Check("wsfpm/"+pkg, set, files, info)
	if err != nil {
		t.Fatal(err)
	}
	file := func(p token.Pos) string { return filepath.Base(set.Position(p).Filename) }
	found := make(map[string]map[string]string)
	for use, object := range info.Uses {
		from, to := file(use.Pos()), file(object.Pos())
		if object.Pkg() != typed || from == to || !counts(object) {
			continue
		}
		if found[from] == nil {
			found[from] = make(map[string]string)
		}
		found[from][to] = max(found[from][to], object.Name())
	}
	return found
}

// counts reports whether the use of an object is a reference.
func counts(object types.Object) bool {
	switch o := object.(type) {
	case *types.Func:
		receiver := o.Signature().Recv()
		return receiver == nil || !types.IsInterface(receiver.Type())
	case *types.Var, *types.Const:
		return o.Parent() == o.Pkg().Scope()
	}
	return false
}

// exports returns a look-up of what the packages that pkg needs export.
func exports(t *testing.T, pkg string) func(path string) (io.ReadCloser, error) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./"+pkg)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -export ./%s: %v", pkg, err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}
