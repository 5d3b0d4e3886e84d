package transform

import (
	"fmt"
	"strconv"
	"strings"
)

// scriptError makes an error of an exception: what it says, and where, in the author's own file.
func (in *instance) scriptError(message, stack string) *Error {
	source := in.pool.module.script
	e := &Error{Kind: KindFailed, Msg: string(clipped([]byte(message), maxReason))}
	for line := range strings.SplitSeq(stack, "\n") {
		if frame, ok := source.frame(line); ok && len(e.Trace) < maxFrames {
			e.Trace = append(e.Trace, frame)
		}
	}
	if len(e.Trace) > 0 {
		where := e.Trace[0]
		if i := strings.LastIndex(where, "("); i >= 0 {
			where = strings.TrimSuffix(where[i+1:], ")")
		}
		e.Msg += " (" + where + ")"
	}
	return e
}

const maxFrames = 20

// frame reads a line of a stack as the engine writes it, "    at name (file:line:column)" or "    at file:line:column". Those of the
// runtime are nobody's business.
func (s *script) frame(line string) (string, bool) {
	line, ok := strings.CutPrefix(strings.TrimSpace(line), "at ")
	if !ok {
		return "", false
	}
	name, where := "", line
	if i := strings.LastIndex(line, " ("); i >= 0 && strings.HasSuffix(line, ")") {
		name, where = line[:i], line[i+2:len(line)-1]
	}
	position, ok := strings.CutPrefix(where, s.File+":")
	if !ok {
		return "", false
	}
	row, column := position, ""
	if i := strings.IndexByte(position, ':'); i >= 0 {
		row, column = position[:i], position[i+1:]
	}
	r, err := strconv.Atoi(row)
	if err != nil {
		return "", false
	}
	c, err := strconv.Atoi(column)
	if err != nil {
		c = 1
	}
	file := s.File
	if s.positions != nil {
		file, r, c = s.positions.original(file, r, c)
	}
	where = fmt.Sprintf("%s:%d:%d", file, r, c)
	if name == "" || name == "<eval>" || name == "<anonymous>" {
		return where, true
	}
	return name + " (" + where + ")", true
}
