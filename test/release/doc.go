// Package release makes a release as make release does, and does with it what its users
// do: checks it, installs it in a new Debian, upgrades and purges it, and runs the image.
package release
