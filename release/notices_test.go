package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoticesAreThoseOfTheLinkedModules(t *testing.T) {
	modules, err := linked("..")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := writeNotices(&want, modules); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../THIRD_PARTY_NOTICES")
	if err != nil || string(got) != want.String() {
		t.Errorf("THIRD_PARTY_NOTICES is out of date (%v): go run ./release notices >THIRD_PARTY_NOTICES", err)
	}
}

// fakeModule is a module with files, by their names in its folder.
func fakeModule(t *testing.T, files map[string]string) *module {
	t.Helper()
	dir := t.TempDir()
	m := &module{path: "example.com/m", version: "v1.0.0"}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.collect(dir, filepath.Join(dir, "copied", "pkg")); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	mit = "Permission is hereby granted, free of\ncharge, to any person"
	bsd = "Redistribution and use in source and binary forms, with or without"
)

func TestEveryLicenceOfAModuleIsNamed(t *testing.T) {
	m := fakeModule(t, map[string]string{
		"LICENSE.txt": mit, "NOTICE": "Copyright ours", "licenses.go": "package m", "copied/COPYING": bsd, "copied/pkg/p.go": "package pkg",
	})
	var page strings.Builder
	if err := writeNotices(&page, []*module{m}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BSD-2-Clause", "MIT", "Copyright ours", bsd, mit} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "package m") {
		t.Error("a source file was taken for a licence")
	}
}

func TestModulesWithoutAKnownLicenceAreRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"has no licence": {"NOTICE": mit, "copied/pkg/p.go": ""},
		"is not known":   {"LICENSE": "You must publish all that you link with this.", "copied/pkg/p.go": ""},
	} {
		err := writeNotices(&strings.Builder{}, []*module{fakeModule(t, files)})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error that says %q", err, name)
		}
	}
}
