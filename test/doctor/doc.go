// Package doctor tests wsfpm doctor with real proxies: each set up rightly, where it may
// find nothing, and each with mistakes, which it must name, with what to change and no
// others.
package doctor
