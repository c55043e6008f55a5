package style

import (
	"go/ast"
	"testing"
)

// pauses are the tests' own files whose pauses are what they test with, not
// waits for something to happen: clients that pause between two messages, load
// that lasts for a time.
var pauses = map[string]string{
	"fcgi/shortage_test.go":         "a model of a slow network, on a fake clock",
	"gateway/once/store_test.go":    "a model of a slow store, on a fake clock",
	"test/faults/resources_test.go": "looks at a node's metrics five times a second",
	"test/faults/wire_test.go":      "a client that sends a byte a millisecond",
	"test/load/chat_test.go":        "a page's wait before it connects again",
	"test/load/churn_test.go":       "a client's pause between two visits",
	"test/load/guest_test.go":       "a client's wait before it connects again",
	"test/load/overload_test.go":    "load for so many seconds",
	"test/load/resume_test.go":      "a client's wait before it connects again",
	"test/load/rolling_test.go":     "people who talk between two restarts",
}

// A sleep in a test is a guess how long something takes: too short on a busy
// machine, too long on any other. Allowed are sleeps on the fake clock of a
// synctest bubble, and those between two looks at a condition, as the last part
// of a for statement. A bare receive from time.After is a sleep too.
func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() || pauses[s.path] != "" {
			continue
		}
		for _, n := range sleeps(s) {
			t.Errorf("%s: wait for a condition with a deadline, or use testing/synctest, instead of a sleep", s.at(n))
		}
	}
}

// sleeps are the places where a file's code waits for nothing but time.
func sleeps(s source) (found []ast.Node) {
	bubbled := bubbles(s.file)
	var look func(n ast.Node) bool
	look = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return !bubbled[n.Name.Name]
		case *ast.CallExpr:
			if calls(n, "synctest", "Test") {
				return false
			}
			if calls(n, "time", "Sleep") {
				found = append(found, n)
			}
		case *ast.ExprStmt:
			if u, ok := n.X.(*ast.UnaryExpr); ok && calls(u.X, "time", "After") {
				found = append(found, n)
			}
		case *ast.CommClause: // of a select, where time.After is a deadline
			for _, statement := range n.Body {
				ast.Inspect(statement, look)
			}
			return false
		case *ast.ForStmt:
			ast.Inspect(n.Body, look)
			return false
		}
		return true
	}
	ast.Inspect(s.file, look)
	return found
}

// bubbles are the functions of a file that are only named within a bubble.
func bubbles(file *ast.File) map[string]bool {
	inside := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && calls(call, "synctest", "Test") {
			ast.Inspect(call, func(n ast.Node) bool {
				if name, ok := n.(*ast.Ident); ok {
					inside[name.Name] = true
				}
				return true
			})
			return false
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if calls(n, "synctest", "Test") {
				return false
			}
			if name, ok := n.Fun.(*ast.Ident); ok {
				delete(inside, name.Name)
			}
		}
		return true
	})
	return inside
}

// calls reports whether an expression calls a function of a package.
func calls(e ast.Expr, pkg, name string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := f.X.(*ast.Ident)
	return ok && x.Name == pkg && f.Sel.Name == name
}
