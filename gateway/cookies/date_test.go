package cookies

import (
	"testing"
	"time"
)

// cookieLayouts are dates as PHP's DATE_COOKIE, DATE_RFC850, DATE_RFC1036 and
// DATE_RFC1123, C's asctime and others write them.
var cookieLayouts = []string{
	"Monday, 02-Jan-2006 15:04:05 MST", "Mon, 02-Jan-2006 15:04:05 MST", "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 06 15:04:05 -0700",
	"Mon, 02 Jan 2006 15:04:05 -0700", "Mon Jan _2 15:04:05 2006", "2 January 2006, 15:4:5", "15:04:05 2006 Jan 2", "2006-Jan-02 15:04:05",
}

func TestCookieDates(t *testing.T) {
	for _, at := range []time.Time{time.Unix(0, 0).UTC(), time.Date(2069, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2000, 2, 29, 1, 2, 3, 0, time.UTC)} {
		for _, layout := range cookieLayouts {
			if got, ok := cookieDate(at.Format(layout)); !ok || !got.Equal(at) {
				t.Errorf("%q: got %v, %v, want %v", at.Format(layout), got, ok, at)
			}
		}
	}
	for text, year := range map[string]int{"1 Jan 69 0:0:0": 2069, "1 Jan 70 0:0:0": 1970, "1 Jan 1601 0:0:0": 1601, "1 jAnUaRy 1999x 0:0:0.5 GMT": 1999} {
		if got, ok := cookieDate(text); !ok || got.Year() != year {
			t.Errorf("%q: got %v, %v, want %d", text, got, ok, year)
		}
	}
	for _, text := range []string{"", "0", "yesterday", "1 Jan 1600 0:0:0", "32 Jan 2000 0:0:0", "0 Jan 2000 0:0:0", "30 Feb 2000 0:0:0", "1 Jan 2000 24:0:0",
		"1 Jan 2000 0:60:0", "1 Jan 2000 0:0:60", "1 Jan 2000 000:0:0", "1 Jan 2000 0:0", "1 Jan 20000 0:0:0", "1 Jan 2 0:0:0", "001 Jan 2000 0:0:0", "1 Ja 2000 0:0:0"} {
		if got, ok := cookieDate(text); ok {
			t.Errorf("%q: got %v, want none", text, got)
		}
	}
}

// FuzzCookieDate checks that every date reads back, in each way of writing it,
// and that no text makes a date that could not be written.
func FuzzCookieDate(f *testing.F) {
	f.Add(int64(0), "Thursday, 01-Jan-1970 00:00:00 GMT+0000")
	f.Add(int64(951782399), "Thursday, 01-Jan-70 00:00:00 UTC")
	f.Add(int64(3155759999), "31 Feb 1999 23:59:59:1")
	f.Fuzz(func(t *testing.T, seconds int64, text string) {
		first, last := time.Unix(0, 0), time.Date(2070, 1, 1, 0, 0, 0, 0, time.UTC) // within which two digits are enough for a year
		at := time.Unix(int64(uint64(seconds)%uint64(last.Unix()-first.Unix())), 0).UTC()
		for _, layout := range cookieLayouts {
			if got, ok := cookieDate(at.Format(layout)); !ok || !got.Equal(at) {
				t.Fatalf("%q: got %v, %v", at.Format(layout), got, ok)
			}
		}
		got, ok := cookieDate(text)
		if !ok {
			return
		}
		if back, ok := cookieDate(got.Format(time.RFC1123)); !ok || !back.Equal(got) || got.Year() < 1601 || got.Year() > 9999 {
			t.Fatalf("%q is %v, which reads back as %v, %v", text, got, back, ok)
		}
	})
}
