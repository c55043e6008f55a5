// Package live shows operators what a gateway does, as it happens: single events, and
// figures of what happened since the last line.
//
//	feed := live.NewFeed(gw.Observe)
//	reader, err := feed.Open(filter, false) // ErrTooMany: four have one
//	lines, err := reader.Next(ctx)          // JSON, one object a line
//
// Without a reader it costs nothing. A reader that does not keep up loses events, which are
// counted, and delays no client. Reading order: record.go, filter.go, feed.go, quantiles.go, figures.go.
package live
