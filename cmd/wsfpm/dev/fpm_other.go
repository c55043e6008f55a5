//go:build unix && !linux

package dev

import "syscall"

// errorLog is PHP-FPM's stderr by a name that it can open.
const errorLog = "/dev/fd/2"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitEnd does nothing: the caller waits.
func awaitEnd(int) {}
