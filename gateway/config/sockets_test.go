package config

import "testing"

func TestSocketsLeaveDescriptorsForTheOthers(t *testing.T) {
	for _, test := range []struct {
		connections, files, workers int
		most, refused               int
	}{
		{100, 0, 3, 1100, 64},
		{0, 0, 3, 0, 64},
		{100, 1 << 20, 3, 1100, 64},
		{100_000, 1024, 24, 936, 64},
		{0, 1024, 24, 936, 64},
		{100_000, 103, 3, 88, 12},
		{100_000, 3, 3, 1, 1},
		{100_000, 3, 30, 1, 1},
	} {
		c := Default()
		c.Limits.Connections = test.connections
		c.FPM["default"] = NewFPM("default", "unix:/run/fpm.sock")
		c.FPM["default"].MaxConnections = test.workers
		most, refused := c.Sockets(test.files)
		if most != test.most || refused != test.refused {
			t.Errorf("%+v: got %d and %d", test, most, refused)
		}
		if left := test.files - test.workers; left > 1 && most+refused > left {
			t.Errorf("%+v: %d sockets, but %d descriptors", test, most+refused, left)
		}
	}
}
