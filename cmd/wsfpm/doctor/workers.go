package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"wsfpm/gateway/live"
)

var workersCures = map[string]cure{
	"full":  {anyProxy: "wsfpm top    # which script takes long? Then more workers: pm.max_children of the pool and max_connections of [fpm.NAME] in wsfpm.toml"},
	"fewer": {anyProxy: "# wsfpm.toml, in [fpm.NAME]: not more than the workers that PHP-FPM has for wsfpm (pm.max_children), or raise these\nmax_connections = {limit}"},
}

// workers asks the gateway what its pools do at this moment.
func workers(ctx context.Context, v *visit) []finding {
	if v.Config == nil || v.Config.Control == "" {
		return []finding{notRun("it needs --config with a control socket, on the gateway's machine")}
	}
	now, err := v.figures(ctx)
	if err != nil {
		return []finding{notRun("%v", err)}
	}
	return v.judgeWorkers(now.Pools)
}

// figures reads one line of GET /figures, which comes after a second.
func (v *visit) figures(ctx context.Context) (f live.Figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := v.Ask(ctx, http.MethodGet, "/figures")
	if err != nil {
		return f, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return f, fmt.Errorf("the control socket sent no figures: %v", lines.Err())
	}
	if answer.StatusCode != http.StatusOK {
		return f, fmt.Errorf("the control socket answers %s: %s", answer.Status, lines.Text())
	}
	return f, json.Unmarshal(lines.Bytes(), &f)
}

// judgeWorkers says which pools are full now, and which have shown that PHP-FPM has fewer
// workers than the configuration says.
func (v *visit) judgeWorkers(pools []live.Pool) (found []finding) {
	text := ""
	for _, p := range pools {
		switch {
		case p.Down: // the check php-fpm has its own words
		case p.Limit < p.Max:
			v.limit = int64(p.Limit)
			found = append(found, warning("fewer", "pool %s: no more than %d of max_connections %d came to work when events waited", p.Name, p.Limit, p.Max))
		case p.Waiting > 0 && p.Running >= p.Limit:
			found = append(found, warning("full", "pool %s: all %d workers are in use, and %d events wait", p.Name, p.Running, p.Waiting))
		}
		text += fmt.Sprintf(", %d of %d in pool %s", p.Running, p.Max, p.Name)
	}
	if len(found) == 0 {
		found = append(found, ok("in use now: %s", text[min(2, len(text)):]))
	}
	return found
}
