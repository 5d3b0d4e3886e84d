package transform

import (
	"encoding/json"
	"errors"
	"sort"
	"strings"
)

// sourceMap says where in the author's files a piece of generated code comes from (version 3 of the format, as bundlers write it).
type sourceMap struct {
	sources []string
	lines   [][]mapping // by line of the code, in order of columns
}

type mapping struct{ column, source, line, sourceColumn int } // all from 0

func parseSourceMap(raw []byte) (*sourceMap, error) {
	var m struct {
		Version  int
		Sources  []string
		Mappings string
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m.Version != 3 {
		return nil, errors.New("not version 3")
	}
	s := &sourceMap{sources: m.Sources}
	var at mapping
	for line := range strings.SplitSeq(m.Mappings, ";") {
		at.column = 0
		var list []mapping
		for segment := range strings.SplitSeq(line, ",") {
			numbers, err := decodeVLQ(segment)
			if err != nil {
				return nil, err
			}
			if len(numbers) > 0 {
				at.column += numbers[0]
			}
			if len(numbers) < 4 {
				continue // generated code that comes from nowhere
			}
			at.source += numbers[1]
			at.line += numbers[2]
			at.sourceColumn += numbers[3]
			if at.source < 0 || at.source >= len(s.sources) || at.line < 0 || at.sourceColumn < 0 {
				return nil, errors.New("a mapping to nowhere")
			}
			list = append(list, at)
		}
		s.lines = append(s.lines, list)
	}
	return s, nil
}

// original translates a position in the code, from 1; one that is not mapped is returned as it is.
func (s *sourceMap) original(file string, line, column int) (string, int, int) {
	if line < 1 || line > len(s.lines) {
		return file, line, column
	}
	list := s.lines[line-1]
	i := sort.Search(len(list), func(i int) bool { return list[i].column > column-1 }) - 1
	if i < 0 {
		return file, line, column
	}
	return s.sources[list[i].source], list[i].line + 1, list[i].sourceColumn + 1
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// decodeVLQ reads the numbers of a segment: five bits a digit, the least significant first, the sign in the last bit.
func decodeVLQ(s string) (numbers []int, err error) {
	value, shift := 0, 0
	for i := range len(s) {
		d := strings.IndexByte(base64Digits, s[i])
		if d < 0 || shift > 30 {
			return nil, errors.New("not a mapping")
		}
		value |= d & 31 << shift
		if shift += 5; d&32 != 0 {
			continue
		}
		if value&1 != 0 {
			value = -value
		}
		numbers = append(numbers, value/2)
		value, shift = 0, 0
	}
	if shift != 0 {
		return nil, errors.New("a mapping that is cut off")
	}
	return numbers, nil
}
