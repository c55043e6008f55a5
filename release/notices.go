package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those of the released binaries, as GOOS and GOARCH.
var platforms = [...][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// module is a Go module of which wsfpm's binaries contain at least one package.
type module struct {
	path, version string
	files         []string // licences and notices of the linked packages, as paths
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([.-].+)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^notice(\..+)?$`)
)

// linked returns the modules that the binary of any platform contains, ordered by path.
// root is the checkout. It runs the go command.
func linked(root string) ([]*module, error) {
	byPath := make(map[string]*module)
	for _, p := range platforms {
		cmd := exec.Command("go", "list", "-deps", "-f",
			`{{with .Module}}{{if not .Main}}{{.Path}}|{{.Version}}|{{.Dir}}|{{$.Dir}}{{end}}{{end}}`, "./cmd/wsfpm")
		cmd.Dir, cmd.Stderr = root, os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p[0], "GOARCH="+p[1])
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", p[0], err)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
			m := byPath[f[0]]
			if m == nil {
				m = &module{path: f[0], version: f[1]}
				byPath[f[0]] = m
			}
			if err := m.collect(f[2], f[3]); err != nil {
				return nil, err
			}
		}
	}
	var modules []*module
	for _, m := range byPath {
		slices.Sort(m.files)
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b *module) int { return strings.Compare(a.path, b.path) })
	return modules, nil
}

// collect adds the licences and notices in a package's folder and in those above it, up to
// the module's: a package that was copied from elsewhere has a licence of its own.
func (m *module) collect(top, dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			file := filepath.Join(dir, e.Name())
			if e.Type().IsRegular() && (licenceFile.MatchString(e.Name()) || noticeFile.MatchString(e.Name())) && !slices.Contains(m.files, file) {
				m.files = append(m.files, file)
			}
		}
		if dir == top || !strings.HasPrefix(dir, top) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// licence returns the SPDX identifier of a licence's text. A licence that this project has
// not yet accepted is an error.
func licence(text string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0", nil
	case has("Boost Software License"): // which begins as MIT does
		return "BSL-1.0", nil
	case has("Permission is hereby granted, free of charge"):
		return "MIT", nil
	case has("Permission to use, copy, modify, and distribute this software for any purpose"):
		return "ISC", nil
	case has("This is free and unencumbered software released into the public domain"):
		return "Unlicense", nil
	case has("Redistribution and use in source and binary forms") && has("endorse or promote products"):
		return "BSD-3-Clause", nil
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", nil
	}
	return "", errors.New("the licence is not known: read it, and add it to licence in release/notices.go if binaries may contain such code")
}

// licences returns the SPDX expression of all licences of a module: "MIT AND BSD-3-Clause".
func (m *module) licences() (string, error) {
	var ids []string
	for _, file := range m.files {
		if noticeFile.MatchString(filepath.Base(file)) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		id, err := licence(string(text))
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return "", fmt.Errorf("%s %s has no licence", m.path, m.version)
	}
	return strings.Join(ids, " AND "), nil
}

const noticesHead = `wsfpm is licensed under the MIT License, see LICENSE. Its binaries contain the Go
standard library and packages of the modules below, under these licences. The
standard library has the licence of golang.org/x/sys.

This file is made by: go run ./release notices >THIRD_PARTY_NOTICES

`

// writeNotices writes a table of the modules with their licences, then each text once.
func writeNotices(w io.Writer, modules []*module) error {
	var page strings.Builder
	page.WriteString(noticesHead)
	var texts []string
	users := make(map[string][]string) // by text
	for _, m := range modules {
		ids, err := m.licences()
		if err != nil {
			return err
		}
		fmt.Fprintf(&page, "%-40s %-40s %s\n", m.path, m.version, ids)
		for _, file := range m.files {
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text := strings.Trim(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n")
			if users[text] == nil {
				texts = append(texts, text)
			}
			_, inside, _ := strings.Cut(filepath.ToSlash(file), "@"+m.version+"/")
			users[text] = append(users[text], m.path+", "+inside)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&page, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(users[text], "\n"), text)
	}
	_, err := io.WriteString(w, page.String())
	return err
}
