package durable

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tagA, tagB session.Tag = 1<<31 | 0xaaaaaa, 1<<31 | 0xbbbbbb

func pos(milli, seq uint64, tag session.Tag) session.Position {
	return session.Position{Milli: milli, Seq: seq, Tag: tag}
}

// entry is a text for addresses at a position.
func entry(at session.Position, data string, to ...session.Address) held {
	return held{at: at, command: &session.Command{To: to, At: at, Message: session.NewMessageWith(session.Head{At: at}, false, []byte(data))}}
}

// raw is an entry of a stream with a text.
func raw(id, to, data string) redis.Entry {
	return redis.Entry{ID: id, Fields: []string{"to", to, "data", data}}
}

// info is the replication section of a master.
func info(tag session.Tag, alone bool) string {
	second := fmt.Sprintf("%040d", 0)
	if !alone {
		second = fmt.Sprintf("%040d", 7)
	}
	return fmt.Sprintf("# Replication\r\nrole:master\r\nmaster_replid:%s%034d\r\nmaster_replid2:%s\r\n", tag, 0, second)
}

// texts are the payloads of commands.
func texts(list []*session.Command) (out []string) {
	for _, c := range list {
		out = append(out, string(c.Message.Data()))
	}
	return out
}
