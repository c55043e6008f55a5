package registry

import (
	"sync/atomic"
	"time"

	"wsfpm/session"
)

// Stats is a snapshot of the counters.
type Stats struct {
	Up          bool      // Redis answers
	LastBeat    time.Time // zero: none went through yet
	Nodes       int       // that beat, by the last beat
	Registered  int64     // connections of this process
	Waiting     int       // records to be written
	Forgetting  int       // records to be removed, whose disconnect events are over
	Beats       int64
	Failed      int64 // calls without an answer, or with an error, and names that could not be counted
	Unknown     int64 // disconnect events that ran although Redis did not confirm that they were this node's
	ClaimedAway int64 // disconnect events that another node had run
	Claimed     int64 // times when others had claimed this node
	Claims      int64 // dead nodes that this one claimed
	Lost        int64 // their connections
	Repaired    int64 // records that differed from this node's connections
	Evicts      bool  // Redis may evict the keys
	// Transitions over all nodes that this one has caused, by kind of name.
	UsersCame, UsersLeft, MembersCame, MembersLeft int64
}

type counts struct {
	entered, beats, failed, unknown, claimedAway   atomic.Int64
	claimed, claims, lost, repaired                atomic.Int64
	nodes, lastBeat, notForgotten, warned          atomic.Int64
	usersCame, usersLeft, membersCame, membersLeft atomic.Int64
	evicts                                         atomic.Bool
}

// moved counts transitions.
func (c *counts) moved(list []Transition) {
	for _, t := range list {
		switch {
		case t.Spoilt:
			c.failed.Add(1)
		case t.Name.Kind == session.KindUser && t.Joined && t.Edge:
			c.usersCame.Add(1)
		case t.Name.Kind == session.KindUser && !t.Joined && t.Edge:
			c.usersLeft.Add(1)
		case t.Name.Kind == session.KindChannel && t.Joined:
			c.membersCame.Add(1)
		case t.Name.Kind == session.KindChannel:
			c.membersLeft.Add(1)
		}
	}
}

// Stats returns the current counters.
func (r *Registry) Stats() Stats {
	c := &r.counts
	s := Stats{
		Up: r.up.Load(), Nodes: int(c.nodes.Load()), Registered: c.entered.Load(),
		Beats: c.beats.Load(), Failed: c.failed.Load(), Unknown: c.unknown.Load(),
		ClaimedAway: c.claimedAway.Load(), Claimed: c.claimed.Load(), Claims: c.claims.Load(), Lost: c.lost.Load(),
		Repaired: c.repaired.Load(), Evicts: c.evicts.Load(),
		UsersCame: c.usersCame.Load(), UsersLeft: c.usersLeft.Load(),
		MembersCame: c.membersCame.Load(), MembersLeft: c.membersLeft.Load(),
	}
	if at := c.lastBeat.Load(); at != 0 {
		s.LastBeat = time.UnixMilli(at)
	}
	r.mu.Lock()
	s.Waiting, s.Forgetting = len(r.queue), len(r.forget)
	r.mu.Unlock()
	return s
}
