package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ScriptName is the script of a project that has no other.
const ScriptName = "ws.php"

// ConfigName is the configuration of a project for development.
const ConfigName = "wsfpm.dev.toml"

// Site is a project. All paths are absolute.
type Site struct {
	Folder string
	Script string // the PHP file that events call
	Pages  string // the folder that is served to browsers
	Config string // the project's configuration for development, "" if it has none
}

// Open looks at a project: its script, which is ws.php in the folder unless one is named,
// and the folder of its pages.
func Open(folder, script string) (Site, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Site{}, err
	}
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Site{}, fmt.Errorf("there is no folder %s: wsfpm dev --init %s makes it, with a first script", folder, folder)
	case err != nil:
		return Site{}, fmt.Errorf("read the folder: %w", err)
	case !info.IsDir():
		return Site{}, fmt.Errorf("%s is a file: wsfpm dev --script %s %s", folder, folder, filepath.Dir(folder))
	}
	s := Site{Folder: folder, Script: filepath.Join(folder, ScriptName), Pages: pagesOf(folder)}
	if script != "" {
		if s.Script, err = filepath.Abs(script); err != nil {
			return Site{}, err
		}
	}
	if file := filepath.Join(folder, ConfigName); isFile(file) {
		s.Config = file
	}
	return s, nil
}

// CheckScript returns an error if the project has no script.
func (s Site) CheckScript() error {
	if isFile(s.Script) {
		return nil
	}
	if s.Script != filepath.Join(s.Folder, ScriptName) {
		return fmt.Errorf("there is no script %s", s.Script)
	}
	return fmt.Errorf("%s has no %s, the script that wsfpm calls for each event: wsfpm dev --init %s writes one, --script FILE names another", s.Folder, ScriptName, s.Folder)
}

// pagesOf is the folder of a project that is meant for the web: public or web where there is
// one, else the project itself.
func pagesOf(folder string) string {
	for _, name := range []string{"public", "web"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.IsDir() {
			return filepath.Join(folder, name)
		}
	}
	return folder
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
