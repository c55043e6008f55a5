package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is wsfpm version.
type versionCmd struct{}

// Run prints version, commit and Go.
func (versionCmd) Run() error {
	v := readVersion()
	fmt.Printf("wsfpm %s, commit %s, %s %s/%s\n", v.version, v.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// version is read from the binary's build information.
type version struct{ version, commit string }

func readVersion() version {
	v := version{"(devel)", "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v.commit += " with changes"
		}
	}
	return v
}
