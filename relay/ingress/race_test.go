//go:build race

package ingress

func init() { raceEnabled = true }
