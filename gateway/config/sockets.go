package config

const (
	// spareSockets is the number of sockets allowed beyond limits.connections: clients
	// that are connecting, disconnecting, or being refused.
	spareSockets = 1000
	// mostRefused is the number of sockets beyond the bound that may be open to send a
	// refusal.
	mostRefused = 64
)

// Sockets returns the limit of open client sockets, WebSocket or not, given the number of
// file descriptors for clients and PHP-FPM together (0: unlimited); 0 is no limit.
// Refused is the number of further sockets that may be open while they are refused.
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
