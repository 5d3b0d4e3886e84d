package plugins

import _ "embed"

// Mask replaces e-mail addresses in the event, ada@example.com becomes a***@example.com, and adds the header X-Masked: 1 when it did. The
// demo command runs it, so that a newcomer sees a transform at work without a compiler. Source: mask/mask.c.
//
//go:embed mask/mask.wasm
var Mask []byte
