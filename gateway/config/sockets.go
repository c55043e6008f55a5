package config

const (
	// spareSockets is how many sockets may be open beyond limits.connections:
	// clients that come, that go, and that are refused.
	spareSockets = 1000
	// mostRefused is how many sockets beyond the bound may be open to read why
	// they are refused.
	mostRefused = 64
)

// Sockets is how many sockets of clients may be open at once, WebSockets and
// what is not one yet or no more, when clients and PHP-FPM have that many file
// descriptors together (0: any number); 0 is no bound. Beyond it so many more
// may be open as are being refused.
func (c *Config) Sockets(files int) (most, refused int) {
	if c.Limits.Connections > 0 {
		most = c.Limits.Connections + spareSockets
	}
	if files <= 0 {
		return most, mostRefused
	}
	for _, pool := range c.FPM {
		files -= pool.MaxConnections
	}
	refused = min(mostRefused, 1+max(0, files)/9)
	files = max(1, files-refused)
	if most == 0 || files < most {
		return files, refused
	}
	return most, refused
}
