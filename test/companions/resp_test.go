package companions

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

var (
	errReply = errors.New("no reply")
	integer  = regexp.MustCompile(`^[+-]?[0-9]{1,18}$`)
)

// reply reads one reply of Redis (RESP2) as testdata/resp.php shows it.
func reply(text []byte, depth int) (shown string, rest []byte, err error) {
	line, rest, found := bytes.Cut(text, []byte("\r\n"))
	if !found || len(line) == 0 {
		return "", nil, errReply
	}
	body := string(line[1:])
	switch line[0] {
	case '+':
		return fmt.Sprintf("$%x", body), rest, nil
	case '-':
		return fmt.Sprintf("-%x", body), rest, nil
	case ':', '$', '*':
	default:
		return "", nil, errReply
	}
	n, err := strconv.Atoi(body)
	switch {
	case err != nil || !integer.MatchString(body):
		return "", nil, errReply
	case line[0] == ':':
		return fmt.Sprintf(":%d", n), rest, nil
	case n == -1:
		return "null", rest, nil
	case n < 0:
		return "", nil, errReply
	case line[0] == '$':
		if n > len(rest)-2 || string(rest[n:n+2]) != "\r\n" {
			return "", nil, errReply
		}
		return fmt.Sprintf("$%x", rest[:n]), rest[n+2:], nil
	}
	if depth > 7 {
		return "", nil, errReply
	}
	var list []string
	for ; n > 0; n-- {
		if shown, rest, err = reply(rest, depth+1); err != nil {
			return "", nil, err
		}
		list = append(list, shown)
	}
	return "[" + strings.Join(list, " ") + "]", rest, nil
}

// lines runs a PHP script that answers each line, of base64, with a line: a function that gives
// it one text.
func lines(t stack.T, script string) func(text []byte) string {
	dir := stack.Root(t) + "/client/php/src"
	d := stack.StartDialogue(t, exec.Command(stack.Tool(t, "php-cli", "php"), "-n", "-d", "memory_limit=256M", "testdata/"+script, dir))
	return func(text []byte) string {
		line, err := d.Ask(base64.StdEncoding.EncodeToString(text))
		if err != nil {
			return err.Error()
		}
		return line
	}
}

// FuzzReplyOfRedis gives any bytes to PHP's reader of replies and to the one above.
func FuzzReplyOfRedis(f *testing.F) {
	stack.Integration(f)
	for _, seed := range []string{
		"+OK\r\n", "-ERR no\r\n", ":42\r\n", ":-1\r\n", ":+1\r\n", ":1x\r\n", "$-1\r\n", "$0\r\n\r\n", "$2\r\nab\r\n", "$2\r\nabc\r\n", "*-1\r\n",
		"*0\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "*2\r\n*1\r\n-x\r\n+y\r\nrest", "$999999999999\r\n", "$-2\r\n", "*99999999\r\n", "*1\r\n", "", "\r\n",
		"?x\r\n", "+a\rb\r\n", ":1", ":9223372036854775808\r\n", strings.Repeat("*1\r\n", 8) + ":1\r\n", strings.Repeat("*1\r\n", 9) + ":1\r\n",
	} {
		f.Add([]byte(seed))
	}
	decode := lines(f, "resp.php")
	f.Fuzz(func(t *testing.T, text []byte) {
		want := "failed"
		if shown, rest, err := reply(text, 0); err == nil {
			want = fmt.Sprintf("%d %s", len(text)-len(rest), shown)
		}
		if got := decode(text); got != want {
			t.Errorf("%q: PHP says %.200s, want %s", text, got, want)
		}
	})
}
