package companions

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// login connects a user to testdata/worker.php, and returns the client and its id.
func (s *site) login(user string) (*stack.Client, string) {
	s.t.Helper()
	c := stack.Dial(s.t, s.URL+"/ws?user="+user, stack.DialOptions{})
	return c, string(c.Next().Data)
}

// GatewayWorker's calls in events.
func TestGatewayClientInEvents(t *testing.T) {
	s := open(t, "worker.php")
	ann, _ := s.login("ann")
	bob, _ := s.login("bob")
	stack.Wait(t, "both to be in the hall", func() bool { return s.redis.Do(t, "HLEN", "ws:presence:channel:hall") == "2" })
	ann.Send(`{"type":"whoami"}`)
	ann.Expect("ann")
	ann.Send(`{"type":"join","room":"tea"}`)
	ann.Expect(`{"since":1,"room":{"name":"tea"}}`) // it hears what is sent to the group that it has just joined
	bob.Send(`{"type":"logout"}`)
	stack.Wait(t, "bob to be unbound", func() bool { return s.redis.Do(t, "EXISTS", "ws:presence:user:bob") == "0" })
	ann.Send(`{"type":"close"}`)
	ann.Expect("bye")
	ann.ExpectClose(4000)
}

// GatewayWorker's calls from outside, as by GatewayClient.
func TestGatewayClientFromOutside(t *testing.T) {
	s := open(t, "worker.php")
	one, oneID := s.login("ann")
	two, twoID := s.login("ann")
	bob, bobID := s.login("7")
	php := startClient(t, "GatewayClient", s.redis.Addr)
	s.workerSends(php, one, two, bob, oneID, bobID)
	php.want(`["joinGroup","`+oneID+`","tea"]`, "true")
	php.want(`["sendToGroup",["tea","none"],"tea","`+bobID+`"]`, "true")
	one.Expect("tea")
	for call, want := range map[string]string{
		`["isOnline","` + oneID + `"]`:      "1",
		`["isOnline","none"]`:               "0",
		`["isUidOnline","ann"]`:             "1",
		`["isUidOnline",8]`:                 "0",
		`["getUidListByGroup","tea"]`:       `{"ann":"ann"}`,
		`["getUidCountByGroup","hall"]`:     "2",
		`["getClientCountByGroup","hall"]`:  "3",
		`["getClientIdCountByGroup","tea"]`: "1",
		`["getAllUidCount"]`:                "2",
		`["getAllGroupUidCount"]`:           `{"door":2,"hall":2,"tea":1}`,
		`["getAllGroupClientIdCount"]`:      `{"door":3,"hall":3,"tea":1}`,
	} {
		// A command has reached the client before it is counted in Redis.
		stack.Wait(t, call+" to be "+want, func() bool { return sorted(php.call(call)) == sorted(want) })
	}
	ids := php.call(`["getClientIdByUid","ann"]`)
	if !strings.Contains(ids, oneID) || !strings.Contains(ids, twoID) || strings.Contains(ids, bobID) {
		t.Errorf("the ids of ann are %s", ids)
	}
	if all, hall := php.call(`["getAllUidList"]`), php.call(`["getUidListByGroup","hall"]`); sorted(all) != sorted(hall) {
		t.Errorf("all users are %s, those in the hall %s", all, hall)
	}
	php.want(`["leaveGroup","`+oneID+`","tea"]`, "true")
	php.want(`["ungroup","door"]`, "true")
	stack.Wait(t, "the groups to be empty", func() bool { return sorted(php.call(`["getAllGroupIdList"]`)) == `{"hall":"hall"}` })
	php.want(`["closeClient","`+oneID+`","bye"]`, "true")
	one.Expect("bye")
	one.ExpectClose(4000)
	php.want(`["destoryClient","`+twoID+`"]`, "true")
	two.ExpectClose(4000)
}

// workerSends are the calls that send.
func (s *site) workerSends(php *phpClient, one, two, bob *stack.Client, oneID, bobID string) {
	s.t.Helper()
	php.want(`["sendToAll","to all"]`, "true")
	php.want(`["sendToAll","to none",[]]`, "true")
	php.want(`["sendToAll","but one",null,["`+oneID+`"]]`, "true")
	php.want(`["sendToClient","`+oneID+`",{"hex":"00ff"}]`, "true")
	php.want(`["sendToUid","ann","to ann"]`, "true")
	php.want(`["sendToUid",[7,8],"to 7"]`, "true")
	php.want(`["sendToAll","to two",["`+oneID+`","`+bobID+`"]]`, "true")
	one.Expect("to all")
	one.ExpectBinary([]byte{0, 0xff})
	one.Expect("to ann")
	one.Expect("to two")
	two.Expect("to all")
	two.Expect("but one")
	two.Expect("to ann")
	bob.Expect("to all")
	bob.Expect("but one")
	bob.Expect("to 7")
	bob.Expect("to two")
}

// sorted writes an object's fields in order.
func sorted(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// What wsfpm cannot do is refused with what to do in its place, and never done silently.
func TestGatewayClientSaysWhatItCannot(t *testing.T) {
	s := open(t, "worker.php")
	php := startClient(t, "GatewayClient", s.redis.Addr)
	for call, words := range map[string]string{
		`["bindUid","x","ann"]`:              "WS-User",
		`["unbindUid","x","ann"]`:            "WS-User",
		`["setSession","x",{}]`:              "database",
		`["updateSession","x",{}]`:           "database",
		`["getSession","x"]`:                 "database",
		`["getUidByClientId","x"]`:           "table",
		`["sendToCurrentClient","x"]`:        "no current client",
		`["closeCurrentClient"]`:             "no current client",
		`["getAllClientCount"]`:              "wsfpm_connections",
		`["getAllClientIdCount"]`:            "wsfpm_connections",
		`["getAllClientIdList"]`:             "table",
		`["getClientIdListByGroup","tea"]`:   "table",
		`["getAllGroupClientIdList"]`:        "table",
		`["getAllClientInfo"]`:               "database",
		`["getAllClientSessions"]`:           "database",
		`["getClientInfoByGroup","tea"]`:     "database",
		`["getClientSessionsByGroup","tea"]`: "database",
		`["setSocketSession","x",{}]`:        "setSession",
		`["sendToEverything","x"]`:           "no such call",
	} {
		var f failure
		got := php.call(call)
		if json.Unmarshal([]byte(got), &f) != nil || f.Error != "LogicException" || !strings.Contains(f.Message, words) {
			t.Errorf("%s: got %s, want a LogicException with %q", call, got, words)
		}
	}
	f := php.fails(`["joinGroup","x","a,b"]`, "Refused", "the name")
	if f.File != "client.php" {
		t.Errorf("the refusal names %s", f.File)
	}
	php.fails(fmt.Sprintf(`["sendToGroup",%q,"x"]`, strings.Repeat("g", 201)), "Refused", "201 bytes")
}
