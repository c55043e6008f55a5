// Command release makes the parts of a release that no other tool makes, in a checkout.
// scripts/release calls it.
//
//	release notices >THIRD_PARTY_NOTICES   the licences of the linked modules
//	release sbom BINARY >FILE              what a binary of wsfpm contains, as SPDX 2.3
//	release image BINARY >FILE             a container image with it, as an OCI image layout
//	release zip FOLDER >FILE               a folder as a zip archive
//
// The last three take the time of the commit from SOURCE_DATE_EPOCH, in seconds.
//
// Reading order: main.go, notices.go, sbom.go, image.go, zip.go.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "notices" {
		modules, err := linked(".")
		if err != nil {
			return err
		}
		return writeNotices(os.Stdout, modules)
	}
	if len(args) != 2 || args[0] != "sbom" && args[0] != "image" && args[0] != "zip" {
		return errors.New("usage: release notices, release sbom BINARY, release image BINARY, release zip FOLDER")
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	switch args[0] {
	case "image":
		return writeImage(os.Stdout, args[1], time.Unix(seconds, 0))
	case "zip":
		return writeZip(os.Stdout, args[1], time.Unix(seconds, 0))
	}
	modules, err := linked(".")
	if err != nil {
		return err
	}
	return writeSBOM(os.Stdout, args[1], modules, time.Unix(seconds, 0))
}
