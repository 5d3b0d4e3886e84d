// Command go-program is a transform as a WASI program: standard input to standard output. Built by the tests of package transform.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var event struct{ Do string }
	if err := json.Unmarshal(in, &event); err != nil {
		panic(err)
	}
	switch event.Do {
	case "drop":
		os.Exit(100)
	case "fail":
		fmt.Fprintln(os.Stderr, "no customer")
		os.Exit(1)
	case "panic":
		panic("as asked")
	case "request":
		fmt.Print(`{"method":"PUT","path":"/v2/x","headers":{"X-A":"1"},"query":{"q":"two words"},"json":{"a":[1,2]}}`)
	default:
		fmt.Fprintln(os.Stderr, "to the log")
		fmt.Print(string(in), " ", os.Getenv("EDGERELAY_CONFIG"), " ", os.Getenv("EDGERELAY_ID"), " ", os.Getenv("EDGERELAY_TYPE"), " ",
			time.Now().UTC().Format(time.RFC3339Nano))
	}
}
