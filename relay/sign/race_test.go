//go:build race

package sign

func init() { raceEnabled = true }
