package conformance

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	if os.Getenv("WSFPM_SOAK") != "1" { // 517 cases with the race detector take minutes
		stack.WithoutRace()
	}
	code := stack.Main(m, "conformance", func(*stack.Suite) {})
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
