// Package plugins holds transforms that come with the program, as their source and as the module that build.sh makes from it.
//
// The demo command runs one so that a newcomer sees a transform at work without a compiler. Called by cli; starts no goroutines, imports
// nothing.
package plugins

import _ "embed"

// Mask replaces e-mail addresses in the event, ada@example.com becomes a***@example.com, and adds the header X-Masked: 1 when it did.
// Source: mask/mask.c.
//
//go:embed mask/mask.wasm
var Mask []byte
