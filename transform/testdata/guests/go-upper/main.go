// A guest in Go: upper-cases the type, adds headers from the configuration and the clock, and logs.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"
)

//go:wasmimport edgerelay_v1 input_read
func inputRead(ptr unsafe.Pointer, capacity uint32) uint32

//go:wasmimport edgerelay_v1 output_write
func outputWrite(ptr unsafe.Pointer, length uint32)

//go:wasmimport edgerelay_v1 config_read
func configRead(ptr unsafe.Pointer, capacity uint32) uint32

//go:wasmimport edgerelay_v1 set
func set(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen uint32) int32

//go:wasmimport edgerelay_v1 reason
func reason(ptr unsafe.Pointer, length uint32)

var (
	buf    = make([]byte, 64<<10)
	config struct{ Prefix string }
	runs   int
)

func header(name, value string) {
	key := "header:" + name
	set(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(unsafe.StringData(value)), uint32(len(value)))
}

//go:wasmexport init
func initialize() int32 {
	n := configRead(unsafe.Pointer(&buf[0]), uint32(len(buf)))
	if n == 0 {
		return 0
	}
	if err := json.Unmarshal(buf[:n], &config); err != nil {
		msg := err.Error()
		reason(unsafe.Pointer(unsafe.StringData(msg)), uint32(len(msg)))
		return 1
	}
	return 0
}

//go:wasmexport transform
func transform() int32 {
	runs++
	n := inputRead(unsafe.Pointer(&buf[0]), uint32(len(buf)))
	var event map[string]any
	if err := json.Unmarshal(buf[:n], &event); err != nil {
		fmt.Fprintln(os.Stderr, "not JSON:", err)
		return 2
	}
	switch event["do"] {
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(7)
	case "sleep":
		before := time.Now()
		time.Sleep(time.Hour)
		header("X-Slept", time.Since(before).String())
	case "drop":
		return 1
	}
	event["type"] = config.Prefix + strings.ToUpper(fmt.Sprint(event["type"]))
	event["runs"] = runs
	header("X-Time", time.Now().UTC().Format(time.RFC3339Nano))
	header("X-Random", rand.Text())
	fmt.Print("hello ")
	fmt.Println("log")
	out, _ := json.Marshal(event)
	outputWrite(unsafe.Pointer(&out[0]), uint32(len(out)))
	return 0
}

func main() {}
