// Package sdk holds the files with which transforms are written, one directory for each language, so that edgerelay plugin new can put
// them into a new plugin without a network.
//
// Called by plugins/kit; starts no goroutines, imports nothing. The Go files in go/ are a package of their own that nothing here imports.
package sdk

import "embed"

// Files are the directories go, c, assemblyscript, rust and javascript.
//
//go:embed go/edgerelay.go go/host_wasip1.go go/host_other.go c/edgerelay.h c/edgerelay_json.h assemblyscript/edgerelay.ts rust/edgerelay.rs javascript/edgerelay.d.ts
var Files embed.FS
