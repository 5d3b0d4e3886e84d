// Command edgerelay is a durable webhook relay in one binary. Everything it does begins in package cli; package relay says how an event
// travels.
package main

import (
	"os"

	"edgerelay/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
