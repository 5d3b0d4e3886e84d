//go:build !linux

package badgerq

// adviseWAL does something on Linux only.
func adviseWAL(string) error { return nil }
