package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// image is the image of this test's own program, by file name.
func image(t *testing.T) map[string][]byte {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeImage(&out, program, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(out.Bytes())); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImageNamesEachBlobByItsDigest(t *testing.T) {
	files := image(t)
	blobs := 0
	for name, content := range files {
		if sum, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			blobs++
			if digest(content) != "sha256:"+sum {
				t.Errorf("%s has the digest %s", name, digest(content))
			}
		}
	}
	if blobs != 3 || len(files["index.json"]) == 0 || string(files["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("%d blobs, want layer, configuration and manifest; oci-layout is %s", blobs, files["oci-layout"])
	}
}

func TestSBOMKnowsEveryModule(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// This program contains a module that wsfpm does not.
	err = writeSBOM(io.Discard, program, nil, time.Unix(1e9, 0))
	if err == nil || !strings.Contains(err.Error(), "golang.org/x/crypto/x509roots/fallback") {
		t.Errorf("got %v, want an error that names the module", err)
	}
}
