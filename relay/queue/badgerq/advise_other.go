//go:build !linux

package badgerq

// adviseWAL does something on Linux only.
func adviseWAL(string) error { return nil }

// forgetTables does something on Linux only.
func forgetTables(string) error { return nil }

// mappedMemory is not known.
func mappedMemory() (int64, bool) { return 0, false }
