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
	var packages, relationships []object
	add := func(p object, relationship string, from any) {
		packages = append(packages, p)
		relationships = append(relationships, object{"spdxElementId": from, "relationshipType": relationship, "relatedSpdxElement": p["SPDXID"]})
	}
	const document = "SPDXRef-DOCUMENT"
	main := described("wsfpm", info.Main.Version, "MIT")
	main["packageFileName"], main["checksums"] = filepath.Base(binary), []object{{"algorithm": "SHA256", "checksumValue": sum}}
	add(main, "DESCRIBES", document)
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	for _, m := range append([]*debug.Module{{Path: "stdlib", Version: goVersion}}, info.Deps...) {
		if licences[m.Path] == "" {
			return fmt.Errorf("%s contains %s, which is not among the modules of this checkout", binary, m.Path)
		}
		p := described(m.Path, m.Version, licences[m.Path])
		p["externalRefs"] = []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:golang/" + m.Path + "@" + m.Version}}
		add(p, "CONTAINS", main["SPDXID"])
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(object{ // SPDX 2.3 in its JSON form
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": document,
		"name":              "wsfpm-" + setting(info, "GOOS") + "-" + setting(info, "GOARCH"),
		"documentNamespace": "https://spdx.org/spdxdocs/wsfpm-" + sum,
		"creationInfo":      object{"created": created.UTC().Format(time.RFC3339), "creators": []string{"Tool: wsfpm-release"}},
		"packages":          packages, "relationships": relationships,
	})
}

// described is a package of the SBOM.
func described(name, version, licence string) object {
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, name)
	return object{"SPDXID": "SPDXRef-" + id, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
		"licenseDeclared": licence, "licenseConcluded": licence, "copyrightText": "NOASSERTION"}
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
