package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

// stored returns the push with all its commands durable.
func (p push) stored() (push, error) {
	body := bytes.TrimSpace(p.command)
	if body[0] != '[' {
		body = append(append([]byte("["), body...), ']')
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return push{}, err
	}
	for _, c := range list {
		c["durable"] = json.RawMessage("true")
	}
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false) // data is sent as it is
	if err := to.Encode(list); err != nil {
		return push{}, err
	}
	_, _, err := session.Decode(text.Bytes(), session.FromPush) // durable and join, for instance
	return push{command: text.Bytes()}, err
}

// pushBoth sends a push through Redis: what is durable into the log, the rest to the
// subscribers.
func pushBoth(ctx context.Context, cfg *config.Config, p push) error {
	entries, rest, err := p.split()
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if err := pushLog(ctx, cfg, entries); err != nil {
			return err
		}
		if len(rest) == 0 {
			return nil
		}
		p = push{command: joined(rest)}
	}
	return pushRedis(ctx, cfg.Redis, p)
}

// split returns the durable commands of a push, and the JSON of the others.
func (p push) split() (entries []session.Command, rest [][]byte, err error) {
	list, _, err := session.Decode(p.command, session.FromPush)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range list {
		if c.Durable != nil && *c.Durable {
			entries = append(entries, c)
			continue
		}
		text, err := c.Encode()
		if err != nil {
			return nil, nil, err
		}
		rest = append(rest, text)
	}
	return entries, rest, nil
}

// joined is a JSON list of commands.
func joined(list [][]byte) []byte {
	return append(append([]byte("["), bytes.Join(list, []byte(","))...), ']')
}

// pushLog appends commands to the log, all or none, and prints their ids.
func pushLog(ctx context.Context, cfg *config.Config, commands []session.Command) error {
	if cfg.Durable.Keep == 0 {
		return errors.New("durable.keep is 0: gateways with this configuration do not read the log")
	}
	entries := make([][]string, len(commands))
	for i := range commands {
		if err := durable.Check(&commands[i], int64(cfg.Redis.PushLimit)); err != nil {
			return fmt.Errorf("command %d: %w", i+1, err)
		}
		entries[i] = durable.Fields(&commands[i])
	}
	url := cfg.Redis.URL
	if url == redisurl.Embedded {
		url = "redis://" + cfg.Redis.Listen
	}
	client, err := redis.NewStore(url)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the answer has arrived
	ids, err := client.Append(ctx, cfg.Durable.Stream, entries...)
	if err != nil {
		return fmt.Errorf("append to the log %s: %w", cfg.Durable.Stream, err)
	}
	printStored(ids)
	return nil
}

func printStored(ids []string) {
	for _, id := range ids {
		fmt.Println("stored as " + id)
	}
}
