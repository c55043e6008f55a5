package companions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// longest is the most lines that a file may have.
const longest = 400

// Each file of client/php works without a loader, since it requires what it needs itself.
func TestEachFileCanBeRequiredAlone(t *testing.T) {
	stack.Integration(t)
	php := stack.Tool(t, "php-cli", "php")
	files, err := filepath.Glob(filepath.Join(source(t), "*.php"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		hasForm(t, file, `Wsfpm`)
		// No extension either, but what PHP is never without.
		load := `require $argv[1]; $class = new ReflectionClass('Wsfpm\\' . basename($argv[1], '.php')); echo count($class->getMethods()) > 0 ? 'ok' : '';`
		out, err := exec.Command(php, "-n", "-d", "error_reporting=-1", "-r", load, file).CombinedOutput()
		if err != nil || string(out) != "ok" {
			t.Errorf("%s alone: %v %s", name, err, out)
		}
	}
}

// hasForm checks what holds for each file of the package.
func hasForm(t *testing.T, file, namespace string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "<?php\ndeclare(strict_types=1);\n\nnamespace "+namespace+";\n") {
		t.Errorf("%s does not begin with strict_types and the namespace", file)
	}
	if n := strings.Count(string(text), "\n"); n > longest {
		t.Errorf("%s has %d lines, want at most %d", file, n, longest)
	}
	if out, err := exec.Command(stack.Tool(t, "php-cli", "php"), "-l", file).CombinedOutput(); err != nil {
		t.Errorf("php -l: %s", out)
	}
}

// Those for a framework load only there; its own tests run them.
func TestTheFilesForFrameworksHaveTheForm(t *testing.T) {
	stack.Integration(t)
	files, err := filepath.Glob(filepath.Join(source(t), "*", "*.php"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		hasForm(t, file, `Wsfpm\`+filepath.Base(filepath.Dir(file)))
	}
}

// PHP's own reflection finds every parameter, return and property that has no type.
func TestEveryMethodHasTypes(t *testing.T) {
	stack.Integration(t)
	out, err := exec.Command(stack.Tool(t, "php-cli", "php"), "testdata/types.php", source(t)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// Error pages dump objects, and frameworks put them into a session or a job.
func TestAClientShowsNoSecret(t *testing.T) {
	stack.Integration(t)
	show := `require $argv[1];
		foreach (['redis://u:hidden@127.0.0.1/2' => '', 'http://127.0.0.1:1' => 'hidden'] as $to => $token) {
			$client = new Wsfpm\Client($to, token: $token);
			var_dump($client);
			print_r($client);
			try { echo serialize($client); } catch (Wsfpm\Refused $e) { echo "refused\n"; }
		}`
	out, err := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", show, filepath.Join(source(t), "Client.php")).CombinedOutput()
	if text := string(out); err != nil || strings.Contains(text, "hidden") || strings.Count(text, "refused\n") != 2 || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("%v\n%s", err, out)
	}
}
