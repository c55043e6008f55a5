package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is wsfpm version.
type versionCmd struct{}

// Run prints version, commit and Go, then the linked modules.
func (versionCmd) Run() error {
	v := readVersion()
	fmt.Printf("wsfpm %s, commit %s, %s %s/%s\n", v.version, v.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, m := range v.modules {
		fmt.Printf("  %s %s\n", m.Path, m.Version)
	}
	return nil
}

// version is read from the binary's build information.
type version struct {
	version, commit string
	modules         []*debug.Module
}

func readVersion() version {
	v := version{version: "(devel)", commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.version = info.Main.Version
	}
	v.modules = info.Deps
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
