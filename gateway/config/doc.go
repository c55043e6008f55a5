// Package config is wsfpm's configuration: one struct, its defaults, and the
// loader that lays file, environment and flags over them.
//
// Begin with [Load], which returns a [Config] that is complete and consistent,
// or one error that tells every problem with its key, its line and what to
// write instead. The comments at the fields are the manual: what a key does,
// its unit, its default and its hazard. The keys are the fields' toml tags.
//
// Programs that build a Config by hand begin with [Default], set what they
// need, and call [Config.Check].
//
// Reading order: config.go, route.go, limits.go (the keys), value.go
// (durations, sizes and the like), load.go, decode.go, lines.go (the loader),
// check.go and its check_*.go (the rules), warnings.go.
package config
