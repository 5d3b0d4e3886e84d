package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes: 10GiB, 1MiB, 512KB, or a plain number.
type Size int64

// sizeUnits, the largest first: String takes the first binary one that divides.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

var errSize = errors.New("is not a size: write a number with a unit, such as 512KB, 1MiB or 10GiB")

func (s *Size) parseText(text string) error {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if n, err := strconv.ParseUint(number, 10, 63); err == nil {
		if n > uint64(math.MaxInt64/unit) {
			return errSize
		}
		*s = Size(int64(n) * unit)
		return nil
	}
	f, err := parseDecimal(number)
	if err != nil || unit == 1 || f*float64(unit) >= math.MaxInt64 {
		return errSize
	}
	*s = Size(f * float64(unit))
	return nil
}

// String writes s with the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is how a Size is printed as YAML and JSON.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a time span: 5s, 1m30s, 250ms, and with days: 30d, 1d12h.
type Duration time.Duration

var errDuration = errors.New("is not a duration: write a number with a unit, such as 250ms, 15s, 5m, 2h or 30d")

func (d *Duration) parseText(text string) error {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	} else if rest == "" {
		rest = "0s"
	}
	n, err := parseDecimal(days)
	if err != nil {
		return errDuration
	}
	span, err := time.ParseDuration(rest)
	if err != nil || span < 0 || rest[0] == '+' || rest[0] == '-' {
		return errDuration
	}
	total := n*float64(24*time.Hour) + float64(span)
	if total >= math.MaxInt64 {
		return errDuration
	}
	*d = Duration(time.Duration(n*float64(24*time.Hour)) + span)
	return nil
}

// String writes d as a config would: 30d, 2h, 1m30s.
func (d Duration) String() string {
	if day := Duration(24 * time.Hour); d != 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText is how a Duration is printed as YAML and JSON.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Rate is how many in a span of time: 100/s, 500/m, 1000/h. Its number is what that makes in an hour; 0 = no limit.
type Rate int64

var errRate = errors.New("is not a rate: write a whole number and a span, such as 100/s, 500/m or 1000/h")

var rateUnits = []struct {
	name string
	n    int64 // of them in an hour
}{{"s", 3600}, {"m", 60}, {"h", 1}}

func (r *Rate) parseText(text string) error {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
	if err != nil || n == 0 || n > 1e6 {
		return errRate
	}
	for _, u := range rateUnits {
		if strings.TrimSpace(unit) == u.name {
			*r = Rate(int64(n) * u.n)
			return nil
		}
	}
	return errRate
}

// String writes r with the shortest span that gives a whole number.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if int64(r)%u.n == 0 {
			return fmt.Sprintf("%d/%s", int64(r)/u.n, u.name)
		}
	}
	return ""
}

// MarshalText is how a Rate is printed as YAML and JSON.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// In returns r as a number and the span that it is for.
func (r Rate) In() (n int, span time.Duration) {
	for _, u := range rateUnits {
		if int64(r)%u.n == 0 {
			return int(int64(r) / u.n), time.Hour / time.Duration(u.n)
		}
	}
	return 0, 0
}

// parseDecimal reads digits with at most one point: none of the signs, exponents, hexadecimals and infinities of strconv.
func parseDecimal(s string) (float64, error) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, errors.New("not a decimal number")
	}
	return strconv.ParseFloat(s, 64)
}

// Path is the name of a file or directory. Load makes it absolute: a relative name counts from the file that it is written in.
type Path string
