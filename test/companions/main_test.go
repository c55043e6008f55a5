package companions

import (
	"os"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "companions", func(*stack.Suite) {}))
}
