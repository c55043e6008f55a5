// Package phpreport finds PHP's own reports on a script that failed in an answer
// with status 200.
//
//	if report := phpreport.Find("/srv/app/public/ws.php", connect, stderr, body); report != "" {
//		return fmt.Errorf("PHP reported %q", report)
//	}
//
// PHP reports a fatal error with status 200 when display_errors is on or output has
// begun, so a login script that crashed would let everybody in. A client can write the
// same text into a room or a log, but it does not know where the site's files lie, and
// each report of PHP's names one of them. So form and place make a claim, and the path
// in it decides.
//
//	find.go    an answer, and the rule of the path
//	stderr.go  the reports that PHP logs
//	body.go    those that it displays
//	lines.go   a stream, line by line
package phpreport
