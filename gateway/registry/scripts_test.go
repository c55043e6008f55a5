package registry

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsfpm/session"
)

// seed is that of the property tests: SEED, else random.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("SEED=%d", n)
	return n
}

// presenceOf reads all presence in Redis.
func presenceOf(t *testing.T, s Store, prefix string) map[string]map[string]int {
	t.Helper()
	all := map[string]map[string]int{}
	names, _ := do(t, s, "keys", prefix+"presence:*").([]any)
	for _, name := range names {
		key := fmt.Sprint(name)
		list, _ := do(t, s, "hgetall", key).([]any)
		m := map[string]int{}
		for i := 0; i+1 < len(list); i += 2 {
			m[fmt.Sprint(list[i])], _ = strconv.Atoi(fmt.Sprint(list[i+1]))
		}
		all[strings.TrimPrefix(key, prefix+"presence:")] = m
	}
	return all
}

// pair is the registry on a Redis beside the model.
type pair struct {
	t     *testing.T
	store Store
	keys  keys
	model *model
}

func (p *pair) lua(c Call) answer {
	p.t.Helper()
	r := run(context.Background(), p.store, []Call{c})[0]
	if r.Err != nil {
		p.t.Fatalf("%s: %v", c.Script.Name, r.Err)
	}
	a, err := parseAnswer(c.Script.Name, r.Value)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *pair) same(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("%s: the script answers %q, the model %q", what, got, want)
	}
}

// random draws a record.
func randomRecord(r *rand.Rand, version uint64) Record {
	rec := Record{Version: version}
	rec.User = []string{"", "7", "8"}[r.IntN(3)]
	m := session.Membership{User: rec.User}
	for _, name := range []string{"a", "b b", "c"} {
		if r.IntN(2) == 0 {
			m.Channels = append(m.Channels, name)
		}
	}
	rec.Channels = m.Channels
	rec.Counted = (&Presence{Users: r.IntN(4) > 0, Channels: []string{"*"}}).Names(m)
	return rec
}

// step does one random operation on both.
func (p *pair) step(r *rand.Rand, versions map[string]uint64) {
	p.t.Helper()
	node, id := string('A'+rune(r.IntN(2))), "c"+strconv.Itoa(r.IntN(4))
	switch r.IntN(12) {
	case 0, 1, 2, 3, 4: // a new version, an old one, or a repeat
		v := versions[id] + uint64(r.IntN(3))
		if v = max(v, 1) - uint64(r.IntN(2)); v == versions[id] {
			v++ // a version has one content
		}
		versions[id] = max(v, versions[id])
		rec := randomRecord(r, max(v, 1))
		w := &write{creates: r.IntN(2) == 0, head: rec.head(id), tail: rec.tail()}
		for range 1 + r.IntN(2) {
			a := p.lua(p.keys.put(w, node, id))
			code, said := p.model.put(w, node, id)
			p.same("put", a.code+a.text, code+said)
		}
	case 5, 6, 7:
		a := p.lua(p.keys.unregister(node, id))
		code, said, text := p.model.unregister(node, id)
		p.same("unregister", a.code+a.text+strings.Join(a.rest, ""), code+said+text)
	case 8, 9:
		number := uint64(r.IntN(3))
		stamp := []string{"s", "s", "s", "t"}[r.IntN(4)] + node
		a := p.lua(p.keys.beat(node, stamp, number))
		code, was, listed := p.model.beat(node, stamp, number)
		p.same("beat", a.code+a.text, code+was)
		p.same("beat", fmt.Sprint(slices.Sorted(maps.Keys(a.beats()))), fmt.Sprint(slices.Sorted(maps.Keys(listed))))
	case 10:
		by, holder := string('X'+rune(r.IntN(2))), []string{"", "X", "Y"}[r.IntN(3)]
		seen, seenByModel := "1", "1000000000"
		if r.IntN(3) > 0 { // the newest beat
			seen, seenByModel = fmt.Sprint(do(p.t, p.store, "zscore", p.keys.all(), node)), fmt.Sprint(p.model.beats[node])
		}
		a := p.lua(p.keys.claim(death{node, seen, holder}, by))
		code, text := p.model.claim(death{node, seenByModel, holder}, by)
		p.same("claim", a.code, code)
		if code == codeHeld || code == codeOK {
			p.same("claim", a.text, text)
		}
	case 11:
		if r.IntN(8) == 0 {
			do(p.t, p.store, "flushdb")
			p.model.flush()
		} else if r.IntN(4) == 0 {
			do(p.t, p.store, "del", p.keys.tomb(node))
			delete(p.model.tombs, node)
		}
	}
}

func TestTheModelAndTheScriptsAgree(t *testing.T) {
	eachServer(t, func(t *testing.T, url string) {
		r := rand.New(rand.NewPCG(seed(t), 1))
		p := &pair{t: t, store: newClient(t, url), keys: "x:", model: newModel()}
		versions := map[string]uint64{}
		for i := range 3000 {
			p.step(r, versions)
			if i%50 > 0 {
				continue
			}
			if got, want := presenceOf(t, p.store, "x:"), p.model.presence; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("after %d steps presence is %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestPresenceIsTheSumOfTheRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 2))
	m := newModel()
	p := &pair{t: t, model: m}
	for range 20_000 {
		node, id := string('A'+rune(r.IntN(2))), "c"+strconv.Itoa(r.IntN(5))
		if r.IntN(3) == 0 {
			m.unregister(node, id)
		} else {
			rec := randomRecord(r, uint64(1+r.IntN(100)))
			m.put(&write{creates: r.IntN(2) == 0, head: rec.head(id), tail: rec.tail()}, node, id)
		}
		want := map[string]map[string]int{}
		for _, records := range m.records {
			for _, s := range records {
				for _, each := range s.pairs {
					name, who, _ := strings.Cut(each, "\t")
					if want[name] == nil {
						want[name] = map[string]int{}
					}
					want[name][who]++
				}
			}
		}
		p.same("presence", fmt.Sprint(m.presence), fmt.Sprint(want))
	}
}
