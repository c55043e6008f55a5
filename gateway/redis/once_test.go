package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestValuesAreSetByCompareAndSet(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			o, ctx := NewOnce(newStore(t, url)), t.Context()
			check := func(what, found string, err error, want string) {
				t.Helper()
				if err != nil || found != want {
					t.Errorf("%s: found %q, %v, want %q", what, found, err, want)
				}
			}
			found, err := o.Claim(ctx, "k", "a\x00\xff", time.Minute)
			check("first claim", found, err, "")
			found, err = o.Claim(ctx, "k", "b", time.Hour)
			check("second claim", found, err, "a\x00\xff")
			value, left, err := o.Look(ctx, "k")
			check("look", value, err, "a\x00\xff")
			if left > time.Minute || left < 30*time.Second {
				t.Errorf("kept for %v, want that of the first claim", left)
			}
			found, err = o.Replace(ctx, "k", "x", "c", time.Hour)
			check("replace another value", found, err, "a\x00\xff")
			found, err = o.Replace(ctx, "k", "a\x00\xff", "c", time.Hour)
			check("replace", found, err, "")
			found, err = o.Replace(ctx, "k", "a\x00\xff", "c", time.Hour)
			check("replace once more", found, err, "")
			if _, left, _ = o.Look(ctx, "k"); left < 30*time.Minute {
				t.Errorf("kept for %v, want that of the last change", left)
			}
			if err := o.Remove(ctx, "k", "a\x00\xff"); err != nil {
				t.Error(err)
			}
			value, _, err = o.Look(ctx, "k")
			check("remove another value", value, err, "c")
			if err := o.Remove(ctx, "k", "c"); err != nil {
				t.Error(err)
			}
			value, _, err = o.Look(ctx, "k")
			check("remove", value, err, "")
			found, err = o.Replace(ctx, "k", "c", "d", time.Hour)
			check("replace without a value", found, err, "")
		})
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newStore(t, url)
			if err := NewOnce(c).Check(t.Context(), "k"); err != nil {
				t.Error(err)
			}
			if n, err := c.Do(t.Context(), "dbsize"); err != nil || n != int64(0) {
				t.Errorf("%v keys are left, %v", n, err)
			}
		})
	}
}

func TestValuesExpire(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			o := NewOnce(newStore(t, url))
			if _, err := o.Claim(t.Context(), "k", "a", 20*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			until := time.Now().Add(time.Minute)
			for {
				found, err := o.Claim(t.Context(), "k", "b", time.Minute)
				if err != nil || time.Now().After(until) {
					t.Fatalf("found %q, %v", found, err)
				}
				if found == "" {
					return
				}
			}
		})
	}
}

// The commands do the same as a map does, in any order.
func TestValuesAreThoseOfAMap(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			o, ctx := NewOnce(newStore(t, url)), t.Context()
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 1))
			model := make(map[string]string)
			for range 2000 {
				key := fmt.Sprint("k", random.IntN(3))
				old, next := fmt.Sprint(random.IntN(3)), fmt.Sprint(random.IntN(3))
				if got, want, what := mapStep(ctx, o, random.IntN(4), model, key, old, next); got != want {
					t.Fatalf("%s: got %q, want %q (seed %d)", what, got, want, seed)
				}
			}
		})
	}
}

// mapStep makes one change in Redis and in the model, and returns both results.
func mapStep(ctx context.Context, o *Once, step int, model map[string]string, key, old, next string) (got, want, what string) {
	has := model[key]
	var err error
	switch step {
	case 0:
		got, err = o.Claim(ctx, key, next, time.Hour)
		if want = has; has == "" {
			model[key] = next
		}
	case 1:
		got, err = o.Replace(ctx, key, old, next, time.Hour)
		if want = has; has == "" || has == old || has == next {
			model[key], want = next, ""
		}
	case 2:
		err = o.Remove(ctx, key, old)
		if has == old {
			delete(model, key)
		}
	case 3:
		got, _, err = o.Look(ctx, key)
		want = has
	}
	if err != nil {
		got = err.Error()
	}
	return got, want, fmt.Sprint("step ", step, " ", key, " ", old, " ", next)
}
