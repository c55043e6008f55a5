package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Stream is the key of a stream in a database.
type Stream struct {
	Database int
	Key      string
}

// Survey is what Redis shows of streams, see [Client.Survey].
type Survey struct {
	// Strays are streams other than the one asked for whose key ends in "log" and whose
	// oldest entry has a field "to".
	Strays []Stream
	// Searched is false if the user lacks +scan or +select: there may be others.
	Searched bool
	// Policy is maxmemory-policy, "" if it is not shown.
	Policy string
}

const (
	// surveyed bounds the looks of a survey in one database, of scanCount keys each.
	surveyed, scanCount = 50, 1000
	// mostStrays bounds the streams that it returns.
	mostStrays = 10
)

// Survey looks for streams in all databases that might be meant for the log at key, and for
// the eviction policy. It reads at most 50,000 keys of a database, in a Cluster those of one
// server, on a connection of its own that ends with ctx.
func (c *Client) Survey(ctx context.Context, key string) (s Survey, err error) {
	node, err := c.node(ctx, key)
	if err != nil {
		return s, err
	}
	client, w := alone(node)
	defer func() { _ = client.Close() }() // its only error says that it is closed
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	memory, err := client.Do(ctx, "info", "memory").Text()
	if err != nil && !Refused(err) {
		return s, err
	}
	s.Policy = infoField(memory, "maxmemory_policy")
	own := node.Options().DB
	databases, err := client.Do(ctx, "info", "keyspace").Text()
	if err != nil && !Refused(err) {
		return s, err
	}
	s.Searched = true
	selected := 0
	for _, db := range databasesOf(databases, own) {
		var err error
		if db != selected {
			err = client.Do(ctx, "select", db).Err()
		}
		if err == nil {
			selected = db
			err = s.search(ctx, client, Stream{db, key}, db == own)
		}
		if Refused(err) {
			s.Searched, err = false, nil
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// search adds the strays of the selected database.
func (s *Survey) search(ctx context.Context, client *goredis.Client, at Stream, own bool) error {
	cursor := uint64(0)
	for range surveyed {
		keys, next, err := client.ScanType(ctx, cursor, "*log", scanCount, "stream").Result()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if own && key == at.Key || len(s.Strays) >= mostStrays {
				continue
			}
			meant, err := isLog(ctx, client, key)
			if err != nil {
				return err
			}
			if meant {
				s.Strays = append(s.Strays, Stream{at.Database, key})
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
	return nil
}

// isLog reports whether the oldest entry of a stream has the form of one of the log.
func isLog(ctx context.Context, client *goredis.Client, key string) (bool, error) {
	list, err := client.XRangeN(ctx, key, "-", "+", 1).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return false, err
	}
	for _, m := range list {
		if _, ok := m.Values["to"]; ok {
			return true, nil
		}
	}
	return false, nil
}

// databasesOf returns the numbers of the databases that INFO keyspace names, and own.
func databasesOf(info string, own int) []int {
	list := []int{own}
	for line := range strings.Lines(info) {
		name, _, found := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimPrefix(name, "db"))
		if found && err == nil && n != own {
			list = append(list, n)
		}
	}
	return list
}

// infoField is the value of a line of INFO.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if n, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); found && n == name {
			return value
		}
	}
	return ""
}
