package config

// Source says where a configuration comes from. Flags win over the
// environment, that over the file, that over the defaults.
type Source struct {
	// File is the path of the TOML file; "" is none.
	File string
	// Environ holds NAME=value pairs, as os.Environ returns them.
	Environ []string
	// Flags holds values by key, such as "redis.url" or "fpm.default.address".
	Flags map[string]string
	// Script, the flag --script, makes one route that answers every path.
	Script string
	// Web, the flag --web, is the folder of [Config.Web].
	Web string
}
