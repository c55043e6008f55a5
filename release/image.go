package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageUser is the user and group of the container: neither root nor one of the host's.
const imageUser = 65532

// imageConfig is the configuration in the image, to be mounted over or completed by flags.
const imageConfig = `# Mount your own file here, or add flags: serve --fpm tcp:php:9000 --script /srv/app/ws.php
listen = "0.0.0.0:8080"
`

// descriptor refers to a blob of the image (OCI image-spec, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// object is a JSON object; its keys are written in order.
type object map[string]any

// writeImage writes a container image as a tar of the OCI image layout. Tools that load what
// docker save writes read it as well, by manifest.json. The image has one layer: the binary,
// certificate authorities, a configuration and the folder for sockets. created is the time of the commit.
func writeImage(w io.Writer, binary string, created time.Time) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	layer, err := imageLayer(program, created)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(layer); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	version := strings.TrimPrefix(info.Main.Version, "v")
	config := object{
		"architecture": setting(info, "GOARCH"), "os": setting(info, "GOOS"), "created": created.UTC().Format(time.RFC3339),
		"config": object{
			"User": fmt.Sprintf("%d:%d", imageUser, imageUser), "Entrypoint": []string{"/usr/bin/wsfpm"}, "Cmd": []string{"serve"},
			"Env": []string{"WSFPM_CONFIG=/etc/wsfpm/wsfpm.toml"}, "ExposedPorts": object{"8080/tcp": object{}},
			"Labels": object{"org.opencontainers.image.title": "wsfpm", "org.opencontainers.image.version": version,
				"org.opencontainers.image.revision": setting(info, "vcs.revision"), "org.opencontainers.image.licenses": "MIT"},
		},
		"rootfs":  object{"type": "layers", "diff_ids": []string{digest(layer)}},
		"history": []object{{"created": created.UTC().Format(time.RFC3339), "created_by": "wsfpm release"}},
	}
	return writeLayout(w, config, packed.Bytes(), version, created)
}

// imageLayer is the image's file system.
func imageLayer(program []byte, created time.Time) ([]byte, error) {
	var authorities bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file cannot express it
		}
		if err := pem.Encode(&authorities, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	var layer bytes.Buffer
	t := tar.NewWriter(&layer)
	for _, f := range []struct {
		name    string
		mode    int64
		content []byte // nil: a folder
		owner   int
	}{
		{"etc/", 0o755, nil, 0},
		{"etc/ssl/", 0o755, nil, 0},
		{"etc/ssl/certs/", 0o755, nil, 0},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities.Bytes(), 0},
		{"etc/wsfpm/", 0o755, nil, 0},
		{"etc/wsfpm/wsfpm.toml", 0o644, []byte(imageConfig), 0},
		{"run/", 0o755, nil, 0},
		{"run/wsfpm/", 0o755, nil, imageUser},
		{"usr/", 0o755, nil, 0},
		{"usr/bin/", 0o755, nil, 0},
		{"usr/bin/wsfpm", 0o755, program, 0},
	} {
		if err := addFile(t, f.name, f.mode, f.content, f.owner, created); err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return layer.Bytes(), err
}

func addFile(t *tar.Writer, name string, mode int64, content []byte, owner int, created time.Time) error {
	h := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Uid: owner, Gid: owner, ModTime: created, Typeflag: tar.TypeReg}
	if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func digest(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

// writeLayout writes the blobs and what refers to them.
func writeLayout(w io.Writer, config object, layer []byte, version string, created time.Time) error {
	t := tar.NewWriter(w)
	var failed error
	file := func(name string, content []byte) {
		if failed == nil {
			failed = addFile(t, name, 0o644, content, 0, created)
		}
	}
	blob := func(mediaType string, content []byte) descriptor {
		d := descriptor{mediaType, digest(content), len(content), nil}
		file(blobName(d), content)
		return d
	}
	encode := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // a value that JSON cannot express stands above
		}
		return text
	}
	files := blob("application/vnd.oci.image.layer.v1.tar+gzip", layer)
	settings := blob("application/vnd.oci.image.config.v1+json", encode(config))
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest := blob(manifestType, encode(object{"schemaVersion": 2, "mediaType": manifestType, "config": settings, "layers": []descriptor{files}}))
	manifest.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": version, "io.containerd.image.name": "docker.io/library/wsfpm:" + version}
	file("oci-layout", encode(object{"imageLayoutVersion": "1.0.0"}))
	file("index.json", encode(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{manifest}}))
	file("manifest.json", encode([]object{{"Config": blobName(settings), "RepoTags": []string{"wsfpm:" + version}, "Layers": []string{blobName(files)}}}))
	if failed != nil {
		return failed
	}
	return t.Close()
}

func blobName(d descriptor) string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }
