// Package deploy tests what the folder deploy ships and what the pages of docs
// say about operating: the units, the files for proxies, make install, the alert rules
// and the dashboard, the page of metrics, and that no secret gets into a log.
//
// What needs a program of the system (systemd-analyze, promtool, PHP-FPM,
// Redis) runs with WSFPM_INTEGRATION=1.
package deploy
