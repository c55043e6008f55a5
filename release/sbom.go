package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// spdx is a document of SPDX 2.3 in its JSON form, as far as it is used here.
type spdx struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID        string          `json:"SPDXID"`
	Name      string          `json:"name"`
	Version   string          `json:"versionInfo"`
	Location  string          `json:"downloadLocation"`
	Analyzed  bool            `json:"filesAnalyzed"`
	Declared  string          `json:"licenseDeclared"`
	Concluded string          `json:"licenseConcluded"`
	Copyright string          `json:"copyrightText"`
	FileName  string          `json:"packageFileName,omitempty"`
	Checksums []spdxChecksum  `json:"checksums,omitempty"`
	Refs      []spdxReference `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// writeSBOM writes the SBOM of a binary of wsfpm: what its build information says, with the
// licences of the modules. created is the time of the commit.
func writeSBOM(w io.Writer, binary string, modules []*module, created time.Time) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	licences := map[string]string{"stdlib": "BSD-3-Clause"}
	for _, m := range modules {
		if licences[m.path], err = m.licences(); err != nil {
			return err
		}
	}
	platform := setting(info, "GOOS") + "-" + setting(info, "GOARCH")
	doc := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "wsfpm-" + platform,
		Namespace: "https://spdx.org/spdxdocs/wsfpm-" + sum,
		Creation:  spdxCreation{created.UTC().Format(time.RFC3339), []string{"Tool: wsfpm-release"}},
	}
	main := described("wsfpm", info.Main.Version, "MIT")
	main.FileName, main.Checksums = filepath.Base(binary), []spdxChecksum{{"SHA256", sum}}
	doc.add(main, "DESCRIBES", doc.ID)
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	for _, m := range append([]*debug.Module{{Path: "stdlib", Version: goVersion}}, info.Deps...) {
		if licences[m.Path] == "" {
			return fmt.Errorf("%s contains %s, which is not among the modules of this checkout", binary, m.Path)
		}
		p := described(m.Path, m.Version, licences[m.Path])
		p.Refs = []spdxReference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + m.Version}}
		doc.add(p, "CONTAINS", main.ID)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(doc)
}

func described(name, version, licence string) spdxPackage {
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, name)
	return spdxPackage{ID: "SPDXRef-" + id, Name: name, Version: version, Location: "NOASSERTION",
		Declared: licence, Concluded: licence, Copyright: "NOASSERTION"}
}

// add appends a package, and its relationship to the element from.
func (d *spdx) add(p spdxPackage, relationship, from string) {
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, spdxRelationship{from, relationship, p.ID})
}

// setting returns a build setting, such as GOOS.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
