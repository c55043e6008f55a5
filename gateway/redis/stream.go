package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Entry is an entry of a stream.
type Entry struct {
	ID     string
	Fields []string // name, value, name, value …
}

// Round is what one round trip to a stream returned, see [Reader.Round].
type Round struct {
	Entries []Entry // behind the id asked for, in order
	Present bool    // the entry with that id is there
	Info    string  // of INFO replication, "" if it was refused or not asked for
	Refused error   // the answer in place of Info
}

// Append appends entries, each a list of names and values, to the stream of a key, in one
// MULTI, and returns their ids. The entries are stored together or not at all. It waits
// for the answer until ctx ends, for at most 3 s: after an error that is neither [Refused] nor
// [NotSent] they may be stored.
func (c *Client) Append(ctx context.Context, key string, entries ...[]string) (ids []string, err error) {
	node, err := c.node(ctx, key)
	if err != nil {
		return nil, &unsent{err}
	}
	var id newID
	pipe := node.TxPipeline()
	if len(entries) == 1 {
		pipe = node.Pipeline()
	}
	answers := make([]*goredis.Cmd, len(entries))
	for i, fields := range entries {
		args := []any{"xadd", key, &id}
		for _, f := range fields {
			args = append(args, f)
		}
		answers[i] = pipe.Do(ctx, args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		c.misled(ctx, err)
		if !id.written {
			err = &unsent{err}
		}
		return nil, err
	}
	for _, a := range answers {
		id, err := a.Text()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// misled refreshes the state of a Cluster after an answer that a key has moved.
func (c *Client) misled(ctx context.Context, err error) {
	if c.cluster != nil && refused(err) != nil {
		c.cluster.ReloadState(ctx)
	}
}

// Refused reports whether Redis answered with an error and has therefore done nothing. False:
// the command may have been carried out.
func Refused(err error) bool { return refused(err) != nil }

// Reader reads a stream on a connection of its own. It never reconnects: after an error of
// any method it is unusable. One goroutine may use it; Close may be called by any and
// several times.
type Reader struct {
	client *goredis.Client
	wire   *wire
	key    string
	lacks  []string // rights that connecting needs

	moved     atomic.Bool // see follow
	unfollow  context.CancelFunc
	following sync.WaitGroup
}

// OpenReader connects to the server that has the key. It returns an error when ctx ends or
// the server does not answer within 3 s.
func (c *Client) OpenReader(ctx context.Context, key string) (*Reader, error) {
	node, err := c.node(ctx, key)
	if err != nil {
		return nil, err
	}
	client, w := alone(node)
	r := &Reader{client: client, wire: w, key: key, unfollow: func() {}}
	if err := r.begin(ctx, node.Options().DB); err != nil {
		r.Close()
		c.misled(ctx, err)
		return nil, err
	}
	if c.single != nil && c.failover { // in a Cluster an old master refuses what it is asked
		r.follow(ctx, node)
	}
	return r, nil
}

// begin selects the database, and proves that the server answers.
func (r *Reader) begin(ctx context.Context, database int) error {
	if database == 0 {
		err := r.client.Do(ctx, "xrange", r.key, "0-1", "0-1").Err()
		if err != nil && lacks(err) {
			return nil // see Missing
		}
		return err
	}
	err := r.client.Do(ctx, "select", database).Err()
	if err != nil && lacks(err) {
		r.lacks = []string{"+select"}
		return nil
	}
	return err
}

// Round sends XREAD, XRANGE and INFO replication in one pipeline: it returns at most count
// entries behind after ("": all), whether the entry after is there, and, with info, the
// replication section. It waits for at most block for an entry; 0 does not wait.
func (r *Reader) Round(ctx context.Context, after string, count int, block time.Duration, info bool) (Round, error) {
	pipe := r.client.Pipeline()
	args := []any{"xread", "count", count}
	if block > 0 {
		args = append(args, "block", block.Milliseconds())
	}
	read := pipe.Do(ctx, append(args, "streams", r.key, cmp.Or(after, "0-0"))...)
	var present, replication *goredis.Cmd
	if after != "" {
		present = pipe.Do(ctx, "xrange", r.key, after, after)
	}
	if info {
		replication = pipe.Do(ctx, "info", "replication")
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	round, err := readRound(read, present, replication)
	if err != nil && r.moved.Load() {
		return Round{}, errMoved
	}
	return round, err
}

// readRound reads the answers of a round; present and replication may be nil.
func readRound(read, present, replication *goredis.Cmd) (round Round, err error) {
	reply, err := read.Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return Round{}, fmt.Errorf("xread: %w", err)
	}
	if round.Entries, err = entriesOfStreams(reply); err != nil {
		return Round{}, err
	}
	if present != nil {
		found, err := present.Slice()
		if err != nil {
			return Round{}, fmt.Errorf("xrange: %w", err)
		}
		round.Present = len(found) > 0
	}
	if replication == nil {
		return round, nil
	}
	round.Info, err = replication.Text()
	if err != nil && !Refused(err) {
		return Round{}, fmt.Errorf("info: %w", err)
	}
	round.Refused = err
	return round, nil
}

// errReply is returned for an answer that no Redis gives.
var errReply = errors.New("the answer of xread has an unknown form")

// entriesOfStreams returns the entries of XREAD's answer for one stream.
func entriesOfStreams(reply any) ([]Entry, error) {
	if reply == nil {
		return nil, nil
	}
	streams, ok := reply.([]any)
	if !ok || len(streams) != 1 {
		return nil, errReply
	}
	named, ok := streams[0].([]any)
	if !ok || len(named) != 2 {
		return nil, errReply
	}
	list, ok := named[1].([]any)
	if !ok {
		return nil, errReply
	}
	entries := make([]Entry, 0, len(list))
	for _, item := range list {
		e, err := entryOf(item)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// entryOf returns one entry of XREAD's answer.
func entryOf(item any) (e Entry, err error) {
	pair, ok := item.([]any)
	if !ok || len(pair) != 2 {
		return e, errReply
	}
	if e.ID, ok = pair[0].(string); !ok {
		return e, errReply
	}
	fields, ok := pair[1].([]any)
	if !ok {
		return e, errReply
	}
	e.Fields = make([]string, 0, len(fields))
	for _, f := range fields {
		text, ok := f.(string)
		if !ok {
			return e, errReply
		}
		e.Fields = append(e.Fields, text)
	}
	return e, nil
}

// Trim removes entries before the one with the id oldest, by whole nodes of the stream's
// tree: some of them may stay.
func (r *Reader) Trim(ctx context.Context, oldest string) error {
	// Without LIMIT 0 a call removes 10,000 entries at most.
	return r.client.Do(ctx, "xtrim", r.key, "minid", "~", oldest, "limit", 0).Err()
}

// Missing returns the rights that the user of the connection lacks for a stream: "+xadd",
// "~ws:log". It changes nothing. The right to INFO is not among them.
func (r *Reader) Missing(ctx context.Context) (rights []string, err error) {
	rights = slices.Clone(r.lacks)
	pipe := r.client.Pipeline()
	commands := [][]any{
		{"xread", "count", 1, "streams", r.key, "0-0"},
		{"xrange", r.key, "0-1", "0-1"},
		{"xadd", r.key, "0-0", "", ""}, // an id that is always refused
		{"xtrim", r.key, "minid", "~", "0-0", "limit", 0},
		{"multi"},
		{"exec"},
	}
	for _, args := range commands {
		pipe.Do(ctx, args...)
	}
	answers, _ := pipe.Exec(ctx)
	for i, a := range answers {
		err := a.Err()
		if err == nil || errors.Is(err, goredis.Nil) {
			continue
		}
		if !Refused(err) {
			return nil, err
		}
		right := "+" + commands[i][0].(string)
		if text := err.Error(); strings.Contains(text, "key") && !strings.Contains(text, "command") {
			right = "~" + r.key
		}
		if lacks(err) && !slices.Contains(rights, right) {
			rights = append(rights, right)
		}
	}
	return rights, nil
}

// Time returns the time of the server.
func (r *Reader) Time(ctx context.Context) (time.Time, error) { return r.client.Time(ctx).Result() }

// lacks reports whether Redis refused a command for want of a right, or does not have it.
func lacks(err error) bool {
	text := err.Error()
	return strings.Contains(text, "NOPERM") || strings.HasPrefix(text, "ERR unknown command") || strings.Contains(text, "syntax error")
}

// Close ends the connection and wakes a method that waits.
func (r *Reader) Close() {
	r.unfollow()
	r.wire.close()
	r.following.Wait()
	_ = r.client.Close() // its only error says that it is closed
}
