package pages

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "pages", func(*stack.Suite) {}))
}

// blocks are those of a page that name this test, in a language, as they stand there.
func blocks(t *testing.T, page, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), page))
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile("(?ms)^ *<!-- run by test/pages\\." + t.Name() + " -->\n *```" + language + "\n(.*?)^ *```$")
	for _, m := range re.FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %s block that names %s", page, language, t.Name())
	}
	return all
}

// fileName is the first line of a block that is a file.
var fileName = regexp.MustCompile(`^<\?php // ([\w./]+)`)

// A site is a project with the files of a page, a gateway, PHP-FPM and Redis.
type site struct {
	*stack.GatewayServer
	t     *testing.T
	dir   string
	redis *stack.RedisServer
	fpm   *stack.FPMServer

	redisTOML string
}

// open runs a gateway on ws/{script}, with the page's PHP files that name this test, and more.
func open(t *testing.T, page string, more map[string]string) *site {
	t.Helper()
	files := make(map[string]string)
	for _, block := range blocks(t, page, "php") {
		name := fileName.FindStringSubmatch(block)
		if name == nil {
			t.Fatalf("the block does not name its file:\n%s", block)
		}
		files[name[1]] = block
	}
	maps.Copy(files, more)
	return serve(t, files)
}

// serve runs a gateway on ws/{script} of these files.
func serve(t *testing.T, files map[string]string) *site {
	t.Helper()
	stack.Integration(t)
	s := &site{t: t, dir: stack.TempDir(t), redis: stack.Redis(t, stack.RedisOptions{})}
	for name, text := range files {
		s.write(name, text)
	}
	s.start("[[route]]\npath = \"/ws/{script}\"\nroot = \"/srv/app/ws\"\n")
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the gateway, with the routes of a site in /srv/app.
func (s *site) start(routes string) {
	s.t.Helper()
	s.fpm = stack.FPM(s.t, stack.FPMOptions{})
	s.GatewayServer = stack.Gateway(s.t, stack.GatewayOptions{FPM: s.fpm, Redis: s.redis.URL(), RedisTOML: s.redisTOML,
		Routes: strings.ReplaceAll(routes, "/srv/app", s.dir) + "\n[presence]\nchannels = [\"*\"]\nusers = true\n"})
}
