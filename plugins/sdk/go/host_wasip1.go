package edgerelay

import "unsafe"

// The imports of edgerelay_v1. A Go string is passed as its pointer and its length, which is what the ABI wants.

//go:wasmimport edgerelay_v1 input_read
func inputRead(p *byte, capacity uint32) uint32

//go:wasmimport edgerelay_v1 output_write
func outputWrite(s string)

//go:wasmimport edgerelay_v1 meta_get
func metaGet(key string, p *byte, capacity uint32) int32

//go:wasmimport edgerelay_v1 config_read
func configRead(p *byte, capacity uint32) uint32

//go:wasmimport edgerelay_v1 set
func set(key, value string) int32

//go:wasmimport edgerelay_v1 log
func logWrite(level uint32, text string)

//go:wasmimport edgerelay_v1 reason
func reason(text string)

//go:wasmexport init
func exportInit() int32 { return start() }

//go:wasmexport transform
func exportTransform() int32 { return run() }

// ptr and str are views, not copies.
func ptr(b []byte) *byte  { return unsafe.SliceData(b) }
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
