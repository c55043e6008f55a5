package release

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// blob is the content of a file of the image's layout that a digest names.
func blob(t *testing.T, layout, digest string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(layout, "blobs", strings.Replace(digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// inside makes a program that runs the image's wsfpm as the container's user, with the
// image as its root, which cannot be written to. It is called as wsfpm serve --config FILE
// is; the file is mounted in the image.
func inside(t *testing.T, root, user string) string {
	t.Helper()
	path := filepath.Join(stack.TempDir(t), "wsfpm")
	script := fmt.Sprintf(`#!/bin/sh
exec unshare --mount sh -ec '
	mount --bind "$1" "$1"
	mount --bind "$3" "$1/etc/wsfpm/wsfpm.toml"
	mount -o remount,ro,bind "$1"
	exec env -i PATH="$PATH" WSFPM_CONFIG=/etc/wsfpm/wsfpm.toml chroot --userspec="$2" "$1" /usr/bin/wsfpm serve
' sh %s %s "$3"
`, root, user)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func testImage(t *testing.T, dist string) {
	layout, root := stack.TempDir(t), stack.TempDir(t)
	must(t, layout, nil, "tar", "-xf", file(t, dist, "*-amd64-image.tar"))
	var index struct{ Manifests []struct{ Digest string } }
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	var image struct {
		Architecture string
		Config       struct {
			User            string
			Entrypoint, Env []string
		}
	}
	text, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err == nil {
		err = json.Unmarshal(blob(t, layout, index.Manifests[0].Digest), &manifest)
	}
	if err == nil {
		err = json.Unmarshal(blob(t, layout, manifest.Config.Digest), &image)
	}
	if err != nil {
		t.Fatal(err)
	}
	if image.Architecture != "amd64" || image.Config.User != "65532:65532" || image.Config.Entrypoint[0] != "/usr/bin/wsfpm" ||
		image.Config.Env[0] != "WSFPM_CONFIG=/etc/wsfpm/wsfpm.toml" {
		t.Errorf("the image's configuration is %+v", image)
	}
	layer := filepath.Join(layout, "layer.tar.gz")
	if err := os.WriteFile(layer, blob(t, layout, manifest.Layers[0].Digest), 0o600); err != nil {
		t.Fatal(err)
	}
	asRoot(t, "tar", "-xzf", layer, "-C", root)
	authorities, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if block, _ := pem.Decode(authorities); err != nil || block == nil || strings.Count(string(authorities), "BEGIN CERTIFICATE") < 100 {
		t.Errorf("no certificate authorities: %v", err)
	}
	if out := must(t, root, nil, "find", ".", "-type", "f", "-perm", "/111"); out != "./usr/bin/wsfpm\n" {
		t.Errorf("programs in the image: %s", out)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can enter the image")
	}
	g := serves(t, inside(t, root, image.Config.User))
	status := must(t, "/", nil, "cat", fmt.Sprintf("/proc/%d/status", g.PID()))
	contains(t, "the process", status, "\nUid:\t65532\t65532\t65532\t65532\n")
	if code := g.Stop(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}

// serves runs a program as wsfpm with PHP-FPM over TCP, and has a message answered.
func serves(t *testing.T, binary string) *stack.GatewayServer {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{TCP: true})
	scripts := stack.Scripts(t, map[string]string{"ws.php": "<?php echo file_get_contents('php://input');"})
	g := stack.Gateway(t, stack.GatewayOptions{Binary: binary, FPM: fpm,
		Routes: fmt.Sprintf("[[route]]\npath = \"/\"\nscript = %q\nresolve_root = false\n", filepath.Join(scripts, "ws.php"))})
	c := stack.Dial(t, g.URL, stack.DialOptions{})
	c.Send("hello")
	c.Expect("hello")
	c.Close(1000, "")
	return g
}

// testARM runs the binary for arm64 on an emulated processor.
func testARM(t *testing.T, dist string) {
	qemu := stack.Tool(t, "qemu-user-static", "qemu-aarch64-static")
	path := filepath.Join(stack.TempDir(t), "wsfpm")
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s/wsfpm \"$@\"\n", qemu, unpacked(t, dist, "linux-arm64"))
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if code := serves(t, path).Stop(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
