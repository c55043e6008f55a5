package cache

import "container/list"

// lru is a map of bounded size, which drops what was not used for longest.
type lru[V any] struct {
	most, bytes int64
	order       list.List // newest first
	at          map[Key]*list.Element
}

type item[V any] struct {
	key   Key
	value V
	size  int64
}

func newLRU[V any](most int64) lru[V] {
	return lru[V]{most: most, at: make(map[Key]*list.Element)}
}

// get returns a value, which is then the newest.
func (l *lru[V]) get(k Key) (v V, found bool) {
	e := l.at[k]
	if e == nil {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*item[V]).value, true
}

// put adds or replaces a value of this size in bytes.
func (l *lru[V]) put(k Key, v V, size int64) {
	l.remove(k)
	l.at[k] = l.order.PushFront(&item[V]{k, v, size})
	l.bytes += size
	for l.bytes > l.most {
		l.remove(l.order.Back().Value.(*item[V]).key)
	}
}

func (l *lru[V]) remove(k Key) {
	e := l.at[k]
	if e == nil {
		return
	}
	delete(l.at, k)
	l.order.Remove(e)
	l.bytes -= e.Value.(*item[V]).size
}

// clear removes everything.
func (l *lru[V]) clear() {
	l.order.Init()
	l.at = make(map[Key]*list.Element) // clear would keep the memory of the largest size
	l.bytes = 0
}
