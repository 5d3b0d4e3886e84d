package config

import _ "embed"

//go:embed starter.yaml
var starter []byte

// Starter returns a commented config file to begin with. It is valid as it stands.
func Starter() []byte { return append([]byte(nil), starter...) }
