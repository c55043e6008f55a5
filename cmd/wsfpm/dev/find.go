package dev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// places are the folders in which distributions install php-fpm, besides those of PATH,
// which seldom has them for users.
var places = []string{"/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin", "/opt/homebrew/opt/php/sbin", "/usr/local/opt/php/sbin"}

// programName matches php-fpm, php-fpm8.2 (Debian), php-fpm83 (Alpine) and php83-fpm.
var programName = regexp.MustCompile(`^php-?fpm-?[0-9.]*$|^php[0-9.]+-fpm$`)

// errNoFPM says how to get PHP-FPM.
var errNoFPM = errors.New("php-fpm is not installed:" +
	"\n  Debian, Ubuntu:  apt-get install php-fpm" +
	"\n  Fedora:          dnf install php-fpm" +
	"\n  Alpine:          apk add php84-fpm" +
	"\n  macOS:           brew install php" +
	"\nIf it is somewhere else than in PATH or /usr/sbin: --php-fpm FILE")

// FindFPM returns the path of php-fpm: the named program, else the one called php-fpm in
// PATH, else the newest version in PATH and the usual folders.
func FindFPM(named string) (string, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("--php-fpm: %w", err)
		}
		return filepath.Abs(path)
	}
	return findFPM(slices.Concat(filepath.SplitList(os.Getenv("PATH")), places))
}

// findFPM looks into folders.
func findFPM(folders []string) (string, error) {
	var newest string
	for _, folder := range folders {
		if !filepath.IsAbs(folder) {
			continue // a folder of PATH relative to the project
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if !programName.MatchString(entry.Name()) || !isProgram(path) {
				continue
			}
			if entry.Name() == "php-fpm" {
				return path, nil
			}
			if newest == "" || slices.Compare(versionOf(path), versionOf(newest)) > 0 {
				newest = path
			}
		}
	}
	if newest == "" {
		return "", errNoFPM
	}
	return newest, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// versionOf returns the version in a program's name: php-fpm8.2 and php-fpm82 are 8.2.
func versionOf(path string) []int {
	digits := strings.Trim(filepath.Base(path), "phfm-")
	major, minor, dotted := strings.Cut(digits, ".")
	if !dotted && len(digits) > 1 {
		major, minor = digits[:1], digits[1:]
	}
	var version []int
	for _, part := range []string{major, minor} {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		version = append(version, n)
	}
	return version
}

// Version returns the version of a php-fpm, such as "8.2.36", or "" if it does not say.
func Version(program string) string {
	out, err := exec.Command(program, "-n", "-v").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) < 2 || fields[0] != "PHP" {
		return ""
	}
	return fields[1]
}
