package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// codeRow is a row of the contract's table of close codes.
var codeRow = regexp.MustCompile(`(?m)^\| ([0-9][0-9–, a-z]*) \| .* \| (final|comes back|gets a new token, then comes back)\b[^|]* \|$`)

// codeSpan is a code, or two that are the ends of a range.
var codeSpan = regexp.MustCompile(`(\d{4})(?:–(\d{4}))?`)

// contractCodes reads from the contract whether a code is final.
func contractCodes(t *testing.T) map[int]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", "contract.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Close codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	codes := map[int]bool{}
	for _, row := range codeRow.FindAllStringSubmatch(section, -1) {
		for _, span := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			first, _ := strconv.Atoi(span[1])
			last, err := strconv.Atoi(span[2])
			if err != nil {
				last = first
			}
			for code := first; code <= last; code++ {
				if _, named := codes[code]; !named { // a row of its own goes before a range
					codes[code] = row[2] == "final"
				}
			}
		}
	}
	if len(codes) < 2000 || !codes[4001] || codes[4401] {
		t.Fatalf("the contract's table of close codes was not understood: %d codes", len(codes))
	}
	return codes
}

func TestPagesKnowTheContractsCloseCodes(t *testing.T) {
	contract.Row(t, "2.close-codes-client")
	program := stack.Tool(t, "nodejs", "node")
	want := contractCodes(t)
	args := []string{"codes.mjs", filepath.Join(stack.Root(t), "client", "js", "live.js")}
	for code := range want {
		args = append(args, strconv.Itoa(code))
	}
	slices.Sort(args[2:])
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := 0
	for line := range strings.Lines(string(out)) {
		number, word, _ := strings.Cut(strings.TrimSpace(line), " ")
		code, _ := strconv.Atoi(number)
		if final := word == "final"; final != want[code] {
			t.Errorf("%d: the page takes it for final: %v, the contract: %v", code, final, want[code])
		}
		said++
	}
	if said != len(want) {
		t.Errorf("got a word on %d codes, want %d", said, len(want))
	}
}

// startToken serves the token example by nginx, beside the pages of the chat,
// which has the login.
func startToken(t *testing.T) (*stack.GatewayServer, *stack.NginxServer) {
	t.Helper()
	secret := strings.Repeat("0123456789abcdef", 4)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4, Pool: map[string]string{"env[JWT_SECRET]": secret}})
	examples := filepath.Join(stack.Root(t), "examples", "php")
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws/token\"\nscript = %q\naccept = \"header\"\nprotocols = [\"app.v1\"]\nparams = { JWT_SECRET = %q }\n",
		examples+"/token/ws.php", secret)})
	nginx := stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; root %[1]s/chat/public; index index.php;
	location /ws/ { proxy_pass http://%[2]s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }
	location = /token/ { alias %[1]s/token/public/; index index.html; }
	location = /token/index.html { alias %[1]s/token/public/index.html; }
	location = /token/issue.php { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME %[1]s/token/public/issue.php; fastcgi_pass unix:%[3]s; }
	location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:%[3]s; } }`, examples, g.Listen, fpm.Socket))
	return g, nginx
}

func TestAPageComesBackWithANewToken(t *testing.T) {
	contract.Row(t, "2.close-codes-client")
	program := node(t)
	g, nginx := startToken(t)
	drive(t, []string{program, "token.mjs", nginx.URL()}, func(word string) {
		if status, body := g.Push(t, `{"to":"user:Ann","close":{"code":4401,"reason":"token expired"}}`); status != 200 {
			t.Errorf("the browser asked for %q: push: %d %s", word, status, body)
		}
	})
}
