package dev

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// skeleton holds the files of a new project.
//
//go:embed skeleton
var skeleton embed.FS

// Init writes a first script, a script that pushes and, where a project has no first page
// yet, one for the script. It never replaces a file: with a ws.php in the folder it writes
// nothing and returns an error, and a push.php is kept. Written are the new files. The folder
// is made if it is missing. With an account the files are its own.
func Init(folder string, owner *Account) (written []string, err error) {
	script := filepath.Join(folder, ScriptName)
	if _, err := os.Lstat(script); err == nil {
		return nil, fmt.Errorf("%s is there already: wsfpm dev %s runs it", script, folder)
	}
	pages := pagesOf(folder)
	hasIndex := isFile(filepath.Join(pages, "index.php")) || isFile(filepath.Join(pages, "index.html"))
	if pages == folder && !hasIndex {
		pages = filepath.Join(folder, "public")
	}
	for _, dir := range []string{folder, pages} {
		if err := makeFolder(dir, owner); err != nil {
			return nil, err
		}
	}
	files := []struct{ from, to string }{
		{ScriptName, script},
		{"push.php", filepath.Join(folder, "push.php")},
		{"index.html", filepath.Join(pages, "index.html")},
	}
	if hasIndex {
		files = files[:2] // the site has a first page
	}
	for _, f := range files {
		text, err := skeleton.ReadFile("skeleton/" + f.from)
		if err != nil {
			return written, err // cannot happen: it is embedded
		}
		err = writeNew(f.to, text, owner)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return written, err
		}
		written = append(written, f.to)
	}
	return written, nil
}

// makeFolder makes a folder with those above it.
func makeFolder(dir string, owner *Account) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return owner.own(dir)
}

// writeNew writes a file that does not exist.
func writeNew(name string, text []byte, owner *Account) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err = f.Write(text); err != nil {
		return err
	}
	return owner.own(name)
}
