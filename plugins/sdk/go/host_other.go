//go:build !wasip1

package edgerelay

// Outside a relay there is nobody to talk to.
const nobody = "edgerelay: this runs as a WASM module only; try: edgerelay plugin test"

func inputRead(*byte, uint32) uint32      { panic(nobody) }
func outputWrite(string)                  { panic(nobody) }
func metaGet(string, *byte, uint32) int32 { panic(nobody) }
func configRead(*byte, uint32) uint32     { return 0 } // Register runs when the package is loaded
func set(string, string) int32            { panic(nobody) }
func logWrite(uint32, string)             {}
func reason(string)                       { panic(nobody) }
func ptr(b []byte) *byte                  { return &b[0] }
func str(b []byte) string                 { return string(b) }

var _, _ = run, start // exports of the module
