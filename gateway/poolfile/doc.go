// Package poolfile reads PHP-FPM's own pool files and compares them with a
// configuration of wsfpm, for wsfpm check --fpm-pool. The gateway does not use
// it. Begin with [Read]; [Compare] takes what it returns:
//
//	files := poolfile.Read([]string{"/etc/php/8.2/fpm/pool.d"}, os.LookupEnv)
//	problems, warnings := poolfile.Compare(cfg, files.Pools)
//
// Reading order: read.go (files, sections and includes), ini.go (one line),
// pool.go (the directives of a pool), compare.go.
package poolfile
