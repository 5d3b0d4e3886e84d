package relay

import (
	"fmt"
	"strings"
)

// maxDiffCells bounds the table of a diff; what differs in more lines than that is shown as replaced as a whole.
const maxDiffCells = 1 << 20

// diffLines writes the difference of two texts as lines that begin with a blank, - or +, with three lines of what is the same around each change and @@ where
// some are left out. "" = there is none.
func diffLines(old, next []string) string {
	head := 0
	for head < min(len(old), len(next)) && old[head] == next[head] {
		head++
	}
	tail := 0
	for tail < min(len(old), len(next))-head && old[len(old)-1-tail] == next[len(next)-1-tail] {
		tail++
	}
	if head == len(old) && head == len(next) {
		return ""
	}
	var lines []string
	for _, l := range old[:head] {
		lines = append(lines, " "+l)
	}
	lines = append(lines, changed(old[head:len(old)-tail], next[head:len(next)-tail])...)
	for _, l := range old[len(old)-tail:] {
		lines = append(lines, " "+l)
	}
	return excerpt(lines)
}

// changed lists what was removed, kept and added, by the longest common subsequence.
func changed(old, next []string) (lines []string) {
	if len(old)*len(next) > maxDiffCells {
		for _, l := range old {
			lines = append(lines, "-"+l)
		}
		for _, l := range next {
			lines = append(lines, "+"+l)
		}
		return lines
	}
	width := len(next) + 1
	common := make([]int32, (len(old)+1)*width) // from a place to the ends
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(next) - 1; j >= 0; j-- {
			if old[i] == next[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(next) {
		switch {
		case i < len(old) && j < len(next) && old[i] == next[j]:
			lines = append(lines, " "+old[i])
			i, j = i+1, j+1
		case i < len(old) && (j == len(next) || common[(i+1)*width+j] >= common[i*width+j+1]):
			lines = append(lines, "-"+old[i])
			i++
		default:
			lines = append(lines, "+"+next[j])
			j++
		}
	}
	return lines
}

// excerpt leaves out what is the same and far from every change.
func excerpt(lines []string) string {
	const around = 3
	keep := make([]bool, len(lines))
	for i, l := range lines {
		if l[0] != ' ' {
			for k := max(0, i-around); k < min(len(lines), i+around+1); k++ {
				keep[k] = true
			}
		}
	}
	var b strings.Builder
	skipped := 0
	for i, l := range lines {
		if !keep[i] {
			skipped++
			continue
		}
		if skipped > 0 {
			fmt.Fprintf(&b, "@@ %d lines are the same\n", skipped)
			skipped = 0
		}
		b.WriteString(l + "\n")
	}
	return b.String()
}
