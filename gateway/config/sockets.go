package config

// spareSockets is how many sockets may be open beyond limits.connections: they
// are those of newcomers, who learn with it why they are refused.
const spareSockets = 1000

// Sockets is how many sockets of clients may be open at once, WebSockets and
// what is not one yet or no more, when files is the number of file descriptors
// that clients and PHP-FPM have together (0: any number). 0 is no bound.
func (c *Config) Sockets(files int) int {
	most := 0
	if c.Limits.Connections > 0 {
		most = c.Limits.Connections + spareSockets
	}
	if files <= 0 {
		return most
	}
	for _, pool := range c.FPM {
		files -= pool.MaxConnections
	}
	files = max(1, files)
	if most == 0 || files < most {
		return files
	}
	return most
}
