// Package dev is what `wsfpm dev` has beside the gateway: the folder of a project, a private
// PHP-FPM, and the lines on a developer's terminal.
//
//	site, err := dev.Open(folder, "")          // its script and its pages
//	fpm, err := dev.StartFPM(dev.FPMOptions{…}) // fpm.Stop ends it by its process id
//	p := dev.NewPrinter(os.Stdout, true)       // p.Event, p.Log: for the gateway
//
// Reading order: site.go (a project's folder), init.go (a new one), account.go (the user that
// PHP runs as), find.go (the program), fpm.go (the process), pool.go (its configuration),
// printer.go (also of wsfpm tail), core.go (the terminal).
package dev
