package release

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func testFiles(t *testing.T, dist string) {
	want := []string{
		"SHA256SUMS", "SHA256SUMS.asc",
		"wsfpm-1.98.7-rc.1-amd64-image.tar", "wsfpm-1.98.7-rc.1-arm64-image.tar",
		"wsfpm-1.98.7-rc.1-darwin-amd64.spdx.json", "wsfpm-1.98.7-rc.1-darwin-amd64.tar.gz",
		"wsfpm-1.98.7-rc.1-darwin-arm64.spdx.json", "wsfpm-1.98.7-rc.1-darwin-arm64.tar.gz",
		"wsfpm-1.98.7-rc.1-linux-amd64.spdx.json", "wsfpm-1.98.7-rc.1-linux-amd64.tar.gz",
		"wsfpm-1.98.7-rc.1-linux-arm64.spdx.json", "wsfpm-1.98.7-rc.1-linux-arm64.tar.gz",
		"wsfpm-1.98.7~rc.1-1.aarch64.rpm", "wsfpm-1.98.7~rc.1-1.x86_64.rpm",
		"wsfpm-client-1.98.7-rc.1.tgz", "wsfpm-php-1.98.7-rc.1.zip",
		"wsfpm_1.98.7~rc.1_amd64.deb", "wsfpm_1.98.7~rc.1_arm64.deb",
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	out := must(t, dist, nil, "sha256sum", "--strict", "--check", "SHA256SUMS")
	if n := strings.Count(out, ": OK\n"); n != len(want)-2 {
		t.Errorf("%d checksums, want one of each of %d files:\n%s", n, len(want)-2, out)
	}
}

// unpacked unpacks the archive of a platform, and returns its folder.
func unpacked(t *testing.T, dist, platform string) string {
	t.Helper()
	dir := stack.TempDir(t)
	must(t, dir, nil, "tar", "-xzf", filepath.Join(dist, "wsfpm-"+version+"-"+platform+".tar.gz"))
	return filepath.Join(dir, "wsfpm-"+version+"-"+platform)
}

func testBinaries(t *testing.T, dist string) {
	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"} {
		dir := unpacked(t, dist, platform)
		info, err := buildinfo.ReadFile(filepath.Join(dir, "wsfpm"))
		if err != nil || info.Main.Version != "v"+version {
			t.Errorf("%s: version %q, %v, want v%s", platform, info.Main.Version, err, version)
		}
		for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES", "README.md", "docs/install.md", "deploy/systemd/wsfpm.service", "examples/php/echo.php", "client/js/live.js", "client/php/src/Answer.php"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: %v", platform, err)
			}
		}
		if !strings.HasPrefix(platform, "linux") {
			continue
		}
		binary, err := elf.Open(filepath.Join(dir, "wsfpm"))
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
			t.Errorf("%s: the binary is not static", platform)
		}
		binary.Close()
	}
	dir := unpacked(t, dist, "linux-amd64")
	if out := must(t, dir, nil, "./wsfpm", "version"); !regexp.MustCompile(`^wsfpm v1\.98\.7-rc\.1, commit [0-9a-f]{40}, go`).MatchString(out) {
		t.Errorf("wsfpm version prints %s", out)
	}
	into := stack.TempDir(t)
	must(t, dir, []string{"BINARY=wsfpm", "DESTDIR=" + into}, "scripts/install")
	if _, err := os.Stat(filepath.Join(into, "usr/local/lib/systemd/system/wsfpm.service")); err != nil {
		t.Error(err)
	}
}

// testClient installs the page's client as the pages of a site do that are built with npm.
func testClient(t *testing.T, dist string) {
	dir := stack.TempDir(t)
	must(t, dir, nil, stack.Tool(t, "npm", "npm"), "install", "--offline", "--no-audit", "--no-fund", filepath.Join(dist, "wsfpm-client-"+version+".tgz"))
	out := must(t, dir, nil, "node", "--input-type=module", "--eval", "import { isFinal } from 'wsfpm-client'; console.log(isFinal(1000), isFinal(1006))")
	contains(t, "what the module says", out, "true false\n")
	for _, name := range []string{"live.d.ts", "README.md", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules/wsfpm-client", name)); err != nil {
			t.Error(err)
		}
	}
}

// testCompose reads compose.yaml as its users do, from the archive.
func testCompose(t *testing.T, dist string) {
	dir := unpacked(t, dist, "linux-amd64")
	out := must(t, dir, []string{"WSFPM_VERSION=" + version}, stack.Tool(t, "docker-compose", "docker-compose"), "-f", "deploy/compose.yaml", "config")
	contains(t, "compose.yaml", out, "image: wsfpm:"+version+"\n")
	for _, m := range regexp.MustCompile(`- (/\S+):/\S+:ro`).FindAllStringSubmatch(out, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("compose.yaml mounts what the archive lacks: %v", err)
		}
	}
}

func testSBOM(t *testing.T, dist string) {
	text, err := os.ReadFile(filepath.Join(dist, "wsfpm-"+version+"-linux-amd64.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Packages []struct{ Name, VersionInfo, LicenseDeclared string }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	licences := make(map[string]string)
	for _, p := range doc.Packages {
		licences[p.Name+" "+p.VersionInfo] = p.LicenseDeclared
	}
	info, err := buildinfo.ReadFile(filepath.Join(unpacked(t, dist, "linux-amd64"), "wsfpm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(licences) != len(info.Deps)+2 {
		t.Errorf("%d packages, want the %d modules, Go's library and wsfpm", len(licences), len(info.Deps))
	}
	for _, m := range info.Deps {
		if licences[m.Path+" "+m.Version] == "" {
			t.Errorf("the SBOM lacks %s %s, or its licence", m.Path, m.Version)
		}
	}
}

// testReproducible makes the release again, in another folder, with another umask, time zone and language.
func testReproducible(t *testing.T, one string) {
	two := filepath.Join(stack.TempDir(t), "another-folder")
	must(t, one, nil, "git", "clone", "--quiet", one, two)
	env := []string{"TZ=Asia/Tokyo", "LC_ALL=C.UTF-8"}
	must(t, two, env, "sh", "-c", "umask 077 && scripts/release")
	first, err := os.ReadFile(filepath.Join(one, "dist/SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(two, "dist/SHA256SUMS"))
	if err != nil || string(first) != string(second) {
		t.Errorf("two builds differ, %v:\n%s\n%s", err, first, second)
	}
}
