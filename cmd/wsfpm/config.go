package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway/config"
)

// configCmd is wsfpm config.
type configCmd struct {
	gatewaySettings
	Changed bool `help:"Print the keys that the file, the environment and the flags set to another value, with the default and the place; without secrets."`
}

// Help is shown by wsfpm config --help.
func (configCmd) Help() string {
	return `Prints every key with its default and what it does, as a configuration file in
which all is commented out: wsfpm config > wsfpm.toml. It is docs/config.toml.`
}

// Run prints the keys.
func (c *configCmd) Run() error {
	if !c.Changed {
		return printKeys(os.Stdout)
	}
	from := c.source()
	from.NoRoutes = true
	cfg, err := config.Load(from)
	if err != nil {
		return err
	}
	return printChanged(os.Stdout, cfg)
}

// keysHeader begins the printed keys.
const keysHeader = `# wsfpm.toml: every key with its default, printed by "wsfpm config". Remove the # before what you
# change. An unknown key is an error; "wsfpm check" reports all problems at once.
#
# A single value outside of [[route]] can be set by the environment or a flag too, which override
# the file: limits.burst is WSFPM_LIMITS_BURST and --set limits.burst=50.
`

// printKeys prints every key as a configuration file. Headers of tables that may be missing,
// or stand there twice, are commented out as well.
func printKeys(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprint(w, keysHeader)
	table := ""
	for _, k := range config.Keys() {
		if k.Table != table {
			table = k.Table
			switch {
			case k.List:
				fmt.Fprintf(w, "\n#[[%s]]\n", table)
			case strings.HasSuffix(table, ".NAME"):
				fmt.Fprintf(w, "\n#[%s]\n", table)
			default:
				fmt.Fprintf(w, "\n[%s]\n", table)
			}
		}
		fmt.Fprintln(w)
		for _, line := range wrap(k.Comment) {
			fmt.Fprintln(w, "# "+line)
		}
		fmt.Fprintf(w, "#%s = %s\n", k.Name, k.Default)
	}
	return w.Flush()
}

// wrap breaks a paragraph into lines.
func wrap(text string) (lines []string) {
	const width = 98
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// printChanged prints the keys that are not at their default.
func printChanged(to io.Writer, cfg *config.Config) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, s := range cfg.Changed() {
		key := s.Name
		if s.Table != "" {
			key = s.Table + "." + s.Name
		}
		fmt.Fprintf(w, "%s = %s\t# %s, default %s\n", terminal.Escape(key), terminal.Escape(s.Value), s.Where, s.Default)
	}
	return w.Flush()
}
