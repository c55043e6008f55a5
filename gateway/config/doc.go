// Package config is wsfpm's configuration: a struct, its defaults, and the loader that
// merges file, environment and flags.
//
//	cfg, err := config.Load(config.Source{File: "wsfpm.toml", Environ: os.Environ()})
//
// [Load] returns a complete and consistent [Config], or one error with every problem:
// key, line and remedy. The comments of the fields are the reference manual, which [Keys]
// returns: effect, unit, default and risks. The keys are the fields' toml tags. A program can also build
// a Config from [Default] and call [Config.Check].
//
// Reading order: config.go, route.go, limits.go (the keys), value.go
// (durations, sizes and the like), load.go, decode.go, lines.go (the loader),
// check.go and its check_*.go (the rules), warnings.go; reference.go, changed.go (the keys as
// text).
package config
