// Package pages runs the code that stands in a page of docs and in no file.
//
// A block of code names its test in a comment before it.
package pages
