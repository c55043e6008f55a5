package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// model is a Redis with the registry's scripts written in Go, by which the explorations of
// the state machines run. TestTheModelAndTheScriptsAgree compares it with the Lua.
type model struct {
	clock    int
	beats    map[string]int               // node:all
	records  map[string]map[string]stored // by node and connection
	stamps   map[string]string
	tombs    map[string]string
	presence map[string]map[string]int
	without  modelRules
}

// modelRules are rules of the scripts that are left out.
type modelRules struct {
	tombInPut, claimCompares, tombStays bool
}

// stored is a record as Redis has it.
type stored struct {
	version int
	pairs   []string // name, tab, member
	said    string
	text    string
}

func newModel() *model {
	return &model{
		beats: map[string]int{}, records: map[string]map[string]stored{}, stamps: map[string]string{},
		tombs: map[string]string{}, presence: map[string]map[string]int{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.beats, c.stamps, c.tombs = maps.Clone(m.beats), maps.Clone(m.stamps), maps.Clone(m.tombs)
	c.records, c.presence = map[string]map[string]stored{}, map[string]map[string]int{}
	for k, v := range m.records {
		c.records[k] = maps.Clone(v)
	}
	for k, v := range m.presence {
		c.presence[k] = maps.Clone(v)
	}
	return &c
}

func (m *model) flush() {
	without, clock := m.without, m.clock
	*m = *newModel()
	m.without, m.clock = without, clock
}

func (m *model) join(pair string, said *[]string) {
	name, who, _ := strings.Cut(pair, "\t")
	if m.presence[name] == nil {
		m.presence[name] = map[string]int{}
	}
	m.presence[name][who]++
	if m.presence[name][who] != 1 {
		return
	}
	mark := "+"
	if len(m.presence[name]) == 1 {
		mark = "*"
	}
	*said = append(*said, mark+pair)
}

func (m *model) leave(pair string, said *[]string) {
	name, who, _ := strings.Cut(pair, "\t")
	if m.presence[name] == nil {
		m.presence[name] = map[string]int{}
	}
	m.presence[name][who]--
	n := m.presence[name][who]
	if n > 0 {
		return
	}
	delete(m.presence[name], who)
	mark := "-"
	if len(m.presence[name]) == 0 {
		delete(m.presence, name)
		mark = "_"
	}
	if n == 0 {
		*said = append(*said, mark+pair)
	}
}

// put is register and change.
func (m *model) put(w *write, node, id string) (code, said string) {
	if m.tombs[node] != "" && !m.without.tombInPut {
		return codeClaimed, ""
	}
	was, found := m.records[node][id]
	if !found && !w.creates {
		return codeMissing, ""
	}
	is := readHead(id, w.head)
	if was.version == is.version {
		return codeOK, was.said
	}
	if was.version > is.version {
		return codeOld, ""
	}
	var list []string
	for _, p := range is.pairs {
		if !slices.Contains(was.pairs, p) {
			m.join(p, &list)
		}
	}
	for _, p := range was.pairs {
		if !slices.Contains(is.pairs, p) {
			m.leave(p, &list)
		}
	}
	is.said = strings.Join(list, "\n")
	is.text = w.head + "\n\n" + is.said + "\n\n" + w.tail
	if m.records[node] == nil {
		m.records[node] = map[string]stored{}
	}
	m.records[node][id] = is
	if _, listed := m.beats[node]; w.creates && m.stamps[node] == "" && !listed {
		m.clock++
		m.beats[node] = m.clock
	}
	return codeOK, is.said
}

func readHead(id, head string) (s stored) {
	lines := strings.Split(head, "\n")
	_, _ = fmt.Sscan(lines[0], &s.version)
	for _, name := range lines[2:] {
		who := lines[1]
		if strings.HasPrefix(name, "user:") {
			who = "conn:" + id
		}
		s.pairs = append(s.pairs, name+"\t"+who)
	}
	return s
}

func (m *model) unregister(node, id string) (code, said, text string) {
	was, found := m.records[node][id]
	if !found {
		if m.tombs[node] != "" {
			return codeClaimed, "", ""
		}
		return codeMissing, "", ""
	}
	var list []string
	for _, p := range was.pairs {
		m.leave(p, &list)
	}
	if delete(m.records[node], id); len(m.records[node]) == 0 {
		delete(m.records, node)
	}
	return codeOK, strings.Join(list, "\n"), was.text
}

func (m *model) beat(node, stamp string, number uint64) (code, was string, beats map[string]string) {
	if m.tombs[node] != "" {
		return codeClaimed, "", nil
	}
	was = m.stamps[node]
	if was != "" && !strings.HasPrefix(was, stamp+" ") {
		return codeTaken, "", nil
	}
	if was == "" {
		was = fmt.Sprint(stamp, " ", number)
		m.stamps[node] = was
	}
	m.clock++
	m.beats[node] = m.clock
	beats = map[string]string{}
	for name, at := range m.beats {
		beats[name] = fmt.Sprint(at)
	}
	return codeOK, was, beats
}

func (m *model) claim(d death, by string) (code, text string) {
	at, listed := m.beats[d.node]
	if !listed {
		return codeDone, ""
	}
	if has := m.tombs[d.node]; has != "" && has != by && has != d.holder {
		return codeHeld, has
	} else if has == "" && fmt.Sprint(at) != d.beat && !m.without.claimCompares {
		return codeAlive, ""
	}
	m.tombs[d.node] = by
	if n := len(m.records[d.node]); n > 0 {
		return codeOK, fmt.Sprint(n)
	}
	delete(m.records, d.node)
	delete(m.stamps, d.node)
	delete(m.beats, d.node)
	if m.without.tombStays {
		delete(m.tombs, d.node)
	}
	return codeDone, ""
}
