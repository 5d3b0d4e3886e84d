// Package guests holds small transforms, one for each language whose modules are small: the slack plugins that `edgerelay plugin new` writes,
// built. `edgerelay bench transform` measures with them, so that nobody needs three compilers to repeat a number.
//
// How they are made again, when an SDK or a template has changed: edgerelay plugin new bench --lang LANGUAGE && edgerelay plugin build bench,
// with the compilers that the test names, and for Rust with strip = "debuginfo" in Cargo.toml. The test builds them again and wants the same
// behaviour to the unit of fuel.
//
// Called by cli; starts no goroutines, imports nothing.
package guests

import _ "embed"

// The modules.
var (
	//go:embed modules/c.wasm
	C []byte
	//go:embed modules/rust.wasm
	Rust []byte
	//go:embed modules/assemblyscript.wasm
	AssemblyScript []byte
)
