package release

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// testPHP installs PHP's package of a release.
func testPHP(t *testing.T, dist string) {
	composerInstalls(t, filepath.Join(dist, "wsfpm-php-"+version+".zip"), "1.98.7-rc.1")
}

// The package of this checkout, as scripts/release makes it.
func TestComposerInstallsThePackage(t *testing.T) {
	stack.Integration(t)
	dir := filepath.Join(stack.TempDir(t), "wsfpm-php-0.0.0")
	must(t, "", nil, "cp", "-r", filepath.Join(stack.Root(t), "client/php"), dir)
	archive := filepath.Join(stack.TempDir(t), "wsfpm-php-0.0.0.zip")
	for _, to := range []string{archive, archive + ".again"} {
		must(t, stack.Root(t), []string{"SOURCE_DATE_EPOCH=1795982400"}, "sh", "-c", "go run ./release zip "+dir+" >"+to)
	}
	must(t, "", nil, "cmp", archive, archive+".again")
	composerInstalls(t, archive, "0.0.0")
}

// composerInstalls installs an archive from a folder, as docs/php.md does, without a network, and
// runs a script with Composer's autoloader.
func composerInstalls(t *testing.T, archive, want string) {
	t.Helper()
	dir := stack.TempDir(t)
	must(t, dir, nil, "cp", archive, ".")
	env := []string{"COMPOSER_HOME=" + filepath.Join(dir, "home"), "COMPOSER_DISABLE_NETWORK=1", "COMPOSER_ALLOW_SUPERUSER=1", "COMPOSER_NO_INTERACTION=1"}
	composer := stack.Tool(t, "composer", "composer")
	must(t, dir, env, composer, "init", "--name=site/site", "--stability=RC")
	must(t, dir, env, composer, "config", "repositories.packagist", "false")
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs/php.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "<!-- run by test/release.TestComposerInstallsThePackage -->\n```sh\n")
	block, _, _ = strings.Cut(block, "```")
	must(t, dir, env, "sh", "-ec", strings.ReplaceAll(block, "wsfpm-php-1.2.3.zip", filepath.Base(archive)))
	contains(t, "the installed version", must(t, dir, env, composer, "show", "wsfpm/wsfpm"), "versions : * "+want)
	script := `<?php
require 'vendor/autoload.php';
echo Wsfpm\Answer::text('hi')->join('a')->body(), ' ', (new Wsfpm\Event(['WS_EVENT' => 'connect']))->type, ' ';
try { new Wsfpm\Client('x'); } catch (Wsfpm\Refused $e) { echo 'refused'; }
$extra = json_decode(file_get_contents('vendor/composer/installed.json'), true)['packages'][0]['extra'];
$map = require 'vendor/composer/autoload_classmap.php';
echo isset($map[$extra['laravel']['providers'][0]]) ? ' discovered' : '';
`
	if err := os.WriteFile(filepath.Join(dir, "script.php"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, "the script", must(t, dir, nil, stack.Tool(t, "php-cli", "php"), "script.php"), "hi connect refused discovered")
	classes, err := os.ReadFile(filepath.Join(dir, "vendor/composer/autoload_classmap.php"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "Composer's list of classes", string(classes), `'Wsfpm\\Symfony\\WebSocket'`)
	for _, name := range []string{"README.md", "src/GatewayClient.php", "src/Laravel/EchoHandler.php", "src/Symfony/WsfpmBundle.php"} {
		if _, err := os.Stat(filepath.Join(dir, "vendor/wsfpm/wsfpm", name)); err != nil {
			t.Error(fmt.Errorf("the package lacks a file: %w", err))
		}
	}
}
