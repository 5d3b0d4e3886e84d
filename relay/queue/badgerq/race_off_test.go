//go:build !race

package badgerq

const raceEnabled = false
