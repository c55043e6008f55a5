// Command freeport prints loopback TCP ports that nobody listens on, as many
// as its argument says, one a line.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	n := 1
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer l.Close() // after the last was found, so that all differ
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
	}
}
