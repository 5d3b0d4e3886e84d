package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// newLogger makes a log of a level (debug, info, warn, error) and a format (auto, text, json). auto is text for a person who watches.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	l, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	return newLevelledLogger(w, l, format)
}

func parseLevel(level string) (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[level]
	if !ok {
		return 0, fmt.Errorf("unknown log level %q: want debug, info, warn or error", level)
	}
	return l, nil
}

// newLevelledLogger is newLogger with a level that can change while the program runs.
func newLevelledLogger(w io.Writer, level slog.Leveler, format string) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "auto":
		if !isTerminal(w) {
			return slog.New(slog.NewJSONHandler(w, o)), nil
		}
	default:
		return nil, fmt.Errorf("unknown log format %q: want auto, text or json", format)
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// isTerminal says whether w is a character device, which is what decides between output for people and for programs.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// palette colours words, or not.
type palette struct{ on bool }

// newPalette colours on a terminal only, and never when NO_COLOR is set (no-color.org).
func newPalette(w io.Writer) palette {
	return palette{on: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) green(s string) string { return p.paint("32", s) }
func (p palette) red(s string) string   { return p.paint("31", s) }
func (p palette) dim(s string) string   { return p.paint("2", s) }
func (p palette) bold(s string) string  { return p.paint("1", s) }
func (p palette) amber(s string) string { return p.paint("33", s) }

// printable makes text from the network safe to show: control characters, which could move the cursor or change the
// terminal, appear as \x1b and the like. Line ends and tabs stay.
func printable(s string) string {
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if bad(r) {
			q := strconv.QuoteToASCII(s[:size])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// oneLine is printable text without line ends and tabs, for tables.
func oneLine(s string) string {
	return printable(strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(s))
}
