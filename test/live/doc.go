// Package live tests `wsfpm tail`, `wsfpm top` and the operators' page against a gateway with
// a real PHP-FPM, in a real terminal (tmux) and a real browser.
package live
