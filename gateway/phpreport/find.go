package phpreport

import (
	"bytes"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// claim is a part of an answer in the form and position of a report of PHP.
type claim struct {
	text    []byte
	from    source
	connect bool
}

// source is where a claim was found.
type source uint8

const (
	fromBody    source = iota
	fromStderr         // all of it, not yet cut into messages
	fromPrepend        // no script of the site ran, so that no path is needed
)

// The kinds of reports, by what PHP does after them.
var (
	fatalKinds = []string{"Fatal error", "Parse error", "Recoverable fatal error"} // ends the script
	otherKinds = []string{"Warning", "Notice", "Deprecated", "Strict Standards", "Unknown error"}
)

// headerLost is how the warning begins by which PHP drops a header.
const headerLost = "Header may not contain "

// tooLate is how the warnings begin by which PHP drops a header or a status
// because output has begun. On connect this may have been the refusal.
var tooLate = []string{
	"Cannot modify header information - headers already sent",
	"http_response_code(): Cannot set response code - headers already sent",
	"session_start(): Session cannot be started after headers have already been sent",
	"session_regenerate_id(): Session ID cannot be regenerated after headers have already been sent",
}

// Find returns PHP's report in a complete answer that its script did not run to its
// end, or "". On connect it also finds what may have cost a refusal its status: output
// that came too soon, or a header that PHP dropped. Script is the SCRIPT_FILENAME,
// whose links are resolved only when something looks like a report.
func Find(script string, connect bool, stderr, body []byte) string {
	return confirmed(script, claimsOf(connect, stderr, body))
}

// claimsOf returns the claims of an answer. It is a quick look: most answers have
// none.
func claimsOf(connect bool, stderr, body []byte) (claims []claim) {
	if bytes.Contains(stderr, []byte("PHP ")) {
		claims = append(claims, claim{stderr, fromStderr, connect})
	}
	if connect {
		return appendShown(claims, body)
	}
	if text := shownAtEnd(body); text != nil {
		claims = append(claims, claim{text: text})
	}
	return claims
}

// confirmed returns the first of the claims that names a file of the script's site,
// or "".
func confirmed(script string, claims []claim) string {
	if len(claims) == 0 {
		return ""
	}
	if report := firstOf(siteFolder(script), claims); report != "" {
		return report
	}
	// PHP names files by their real paths, also where a deployment has put a
	// symbolic link.
	real, err := filepath.EvalSymlinks(script)
	if err != nil || real == script {
		return ""
	}
	return firstOf(siteFolder(real), claims)
}

func firstOf(folder string, claims []claim) string {
	for _, c := range claims {
		text := c.text
		if c.from == fromStderr {
			text = reportOnStderr(text, folder, c.connect)
		} else if c.from == fromBody && !bytes.Contains(text, []byte(folder)) {
			continue
		}
		if text != nil {
			return string(bytes.TrimSpace(text))
		}
	}
	return ""
}

// sharedFolders are the folders in a file system's root in which any site may
// lie (Filesystem Hierarchy Standard 3.0, 3).
var sharedFolders = []string{
	"bin/", "boot/", "dev/", "etc/", "home/", "lib/", "media/", "mnt/", "opt/", "proc/", "root/", "run/", "sbin/", "srv/", "sys/", "tmp/", "usr/", "var/",
}

// siteFolder is the folder of a script's site with its libraries, and a slash
// at its end: the first one of the script's path, or below /srv, /var and their
// like the first two. It is /srv/app/ for /srv/app/public/ws.php.
func siteFolder(script string) string {
	folder := path.Dir(script)
	if folder == "/" || folder == "." {
		return script
	}
	parts := strings.SplitAfter(folder+"/", "/") // "/", "srv/", "app/", "public/", ""
	depth := 2
	if slices.Contains(sharedFolders, parts[1]) {
		depth = 3
	}
	return strings.Join(parts[:min(depth, len(parts)-1)], "")
}

// notRun is how PHP-FPM answers when it does not run the script.
var notRun = []struct {
	status       int
	body, stderr string
}{
	{404, "File not found.\n", "Primary script unknown"},
	{403, "Access denied.\n", "Access to the script '"},
	{403, "Access denied.\n", "Unable to open primary script: "},
	{404, "No input file specified.\n", "Unable to open primary script: "},
}

// NotRun reports whether an answer is PHP-FPM's complaint that it cannot run the
// script: its status, its whole body and its words on stderr.
func NotRun(status int, stderr, body []byte) bool {
	for _, n := range notRun {
		if status == n.status && string(body) == n.body && bytes.Contains(stderr, []byte(n.stderr)) {
			return true
		}
	}
	return false
}
