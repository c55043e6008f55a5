package deploy

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/test/stack"
)

// mostExposure is the promise of SECURITY.md: what systemd-analyze security
// may find, from 0 to 10.
const mostExposure = 2.0

// unit returns the values of a directive of a unit file, in their order.
func unit(t *testing.T, file, directive string) (values []string) {
	t.Helper()
	for line := range strings.Lines(read(t, "deploy/systemd/"+file)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == directive {
			values = append(values, value)
		}
	}
	return values
}

func TestUnitsAreUnderstoodBySystemd(t *testing.T) {
	analyze := stack.Tool(t, "systemd", "systemd-analyze")
	dir := stack.TempDir(t)
	service := strings.ReplaceAll(read(t, "deploy/systemd/wsfpm.service"), "/usr/local/bin/wsfpm", stack.Binary(t))
	write(t, filepath.Join(dir, "wsfpm.service"), service)
	write(t, filepath.Join(dir, "wsfpm.socket"), read(t, "deploy/systemd/wsfpm.socket"))
	out, err := run(t, exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "wsfpm.service"), filepath.Join(dir, "wsfpm.socket")))
	if err != nil || strings.Contains(out, dir) || strings.Contains(out, "wsfpm.") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestServiceIsHardened(t *testing.T) {
	analyze := stack.Tool(t, "systemd", "systemd-analyze")
	out, err := run(t, exec.Command(analyze, "security", "--offline=true", "--no-pager", "deploy/systemd/wsfpm.service"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`exposure level for wsfpm.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no exposure level in\n%s", out)
	}
	t.Logf("exposure level %s, promised are %v at most", found[1], mostExposure)
	if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > mostExposure {
		t.Errorf("exposure level %s, want %v at most\n%s", found[1], mostExposure, out)
	}
}

func TestServiceHasNoPrivilege(t *testing.T) {
	for directive, want := range map[string]string{
		"Type": "notify", "DynamicUser": "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "",
		"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "MemoryDenyWriteExecute": "yes",
		"LockPersonality": "yes", "RestrictNamespaces": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
		"UMask": "0077", "LimitNOFILE": "1048576", "Restart": "always", "RuntimeDirectory": "wsfpm",
	} {
		if got := unit(t, "wsfpm.service", directive); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %q, want %q", directive, got, want)
		}
	}
}

// example is the configuration that make install puts in place.
func example(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Source{File: filepath.Join(stack.Root(t), "deploy/systemd/wsfpm.toml")})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestExampleConfigurationFitsTheUnits(t *testing.T) {
	cfg := example(t)
	for _, w := range cfg.Warnings() {
		t.Errorf("warning: %s", w)
	}
	stop, err := time.ParseDuration(unit(t, "wsfpm.service", "TimeoutStopSec")[0])
	if least := time.Duration(cfg.Drain) + 15*time.Second; err != nil || stop < least {
		t.Errorf("TimeoutStopSec is %v, want at least drain + 15s = %v", stop, least)
	}
	if groups := unit(t, "wsfpm.service", "SupplementaryGroups"); !slices.Contains(groups, cfg.ListenGroup) {
		t.Errorf("listen_group %q is none of the service's groups %q, so it cannot give its socket to it", cfg.ListenGroup, groups)
	}
	// systemd removes the folder with the service, and gives what is in it to
	// the service's user at its start: a socket of systemd's own must lie elsewhere.
	folder := "/run/" + unit(t, "wsfpm.service", "RuntimeDirectory")[0] + "/"
	if !strings.HasPrefix(cfg.Listen[0], "unix:"+folder) {
		t.Errorf("listen is %q, want a socket in %s", cfg.Listen[0], folder)
	}
	if kept := unit(t, "wsfpm.socket", "ListenStream")[0]; strings.HasPrefix(kept, folder) {
		t.Errorf("wsfpm.socket is %s, in the folder that goes with the service", kept)
	}
}

func TestMemoryLimitLeavesRoomForTheCollector(t *testing.T) {
	most := unit(t, "wsfpm.service", "MemoryMax")[0]
	soft := regexp.MustCompile(`GOMEMLIMIT=(\d+)MiB`).FindStringSubmatch(read(t, "deploy/systemd/wsfpm.service"))
	gib, err := strconv.Atoi(strings.TrimSuffix(most, "G"))
	if err != nil || soft == nil {
		t.Fatalf("MemoryMax=%s, GOMEMLIMIT %v", most, soft)
	}
	if mib, err := strconv.Atoi(soft[1]); err != nil || mib != gib*1024*9/10 {
		t.Errorf("GOMEMLIMIT is %d MiB, want 90 %% of %s", mib, most)
	}
}
