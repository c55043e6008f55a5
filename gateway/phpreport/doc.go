// Package phpreport finds PHP's own reports on a script that failed in an answer
// with status 200.
//
//	if report := phpreport.Find("/srv/app/public/ws.php", connect, stderr, body); report != "" {
//		return fmt.Errorf("PHP reported %q", report)
//	}
//
// PHP reports a fatal error with status 200 if display_errors is on or output has begun,
// so a login script that crashes would accept every client. A client can write the same
// text into a room or a log, but does not know the paths of the site's files, and each
// report of PHP contains one. So a text in the form and position of a report is a claim,
// and its path decides. Reading order:
//
//	find.go    an answer, and the rule of the path
//	stderr.go  the reports that PHP logs
//	body.go    those that it displays
//	lines.go   a stream, line by line
//	kind.go    what may be shown of a report to everyone
package phpreport
