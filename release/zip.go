package main

import (
	"archive/zip"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// writeZip writes the files of a folder as a zip archive, in the order of their names, all in one
// folder with the name of dir. It depends on nothing but their names and contents, and at.
func writeZip(w io.Writer, dir string, at time.Time) error {
	archive := zip.NewWriter(w)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		head := &zip.FileHeader{Name: path.Join(filepath.Base(dir), filepath.ToSlash(name)), Method: zip.Deflate, Modified: at.UTC()}
		head.SetMode(0o644)
		entry, err := archive.CreateHeader(head)
		if err != nil {
			return err
		}
		_, err = entry.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return archive.Close()
}
