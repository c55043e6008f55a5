package phpreport

import (
	"strings"
	"testing"
)

func TestTheKindOfAReportHasNoTextOfTheScript(t *testing.T) {
	for report, want := range map[string]string{
		loggedException: "PHP Fatal error:  Uncaught Exception…",
		plainException:  "Fatal error: Uncaught Exception…",
		htmlException:   "Fatal error:  Uncaught Exception…",
		xdebugHTML:      "Fatal error: Uncaught Exception…",
		lostHeader:      "PHP Warning:  Header may not contain…",
		"PHP Warning:  http_response_code(): Cannot set response code - headers already sent (output started at /srv/a.php:2) in": "PHP Warning:  http_response_code(): Cannot set response code - headers already sent…",
		`PHP Fatal error:  Uncaught App\Card\Refused: 4111 1111 in /srv/a.php`:                                                    `PHP Fatal error:  Uncaught App\Card\Refused…`,
		"PHP Fatal error:  card 4111 1111, by trigger_error, in /srv/a.php":                                                       "PHP Fatal error:  …",
		"PHP Fatal error:  Uncaught Exception@anonymous: 4111 1111":                                                               "PHP Fatal error:  Uncaught Exception…",
		"4111 1111": "…",
	} {
		if got := Kind(report); got != want {
			t.Errorf("got %q, want %q of %q", got, want, report)
		}
	}
	if got := Kind("PHP Fatal error:  Uncaught " + strings.Repeat("x", 1000)); len(got) > 100 {
		t.Errorf("got %d bytes", len(got))
	}
}
