package kit

import (
	"slices"
	"strings"
)

// maxDiffLines bounds the table of the comparison; of longer texts only the first difference is shown.
const maxDiffLines = 2000

// diffContext is how many equal lines are shown around a change.
const diffContext = 2

// Diff shows how got differs from want, line by line: "-" is expected and missing, "+" is there and not expected. "" = equal.
func Diff(want, got string) string {
	if want == got {
		return ""
	}
	a, b := lines(want), lines(got)
	var out []string
	if slices.Equal(a, b) {
		return "  …\n- ends " + ending(want) + "\n+ ends " + ending(got) + "\n"
	}
	if len(a) > maxDiffLines || len(b) > maxDiffLines {
		return firstDifference(a, b)
	}
	for _, l := range edits(a, b) {
		out = append(out, string(l.kind)+" "+l.text)
	}
	return strings.Join(shorten(out), "\n") + "\n"
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

func ending(s string) string {
	if strings.HasSuffix(s, "\n") {
		return "with a line break"
	}
	return "without a line break"
}

func firstDifference(a, b []string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	out := []string{"  …"}
	if i < len(a) {
		out = append(out, "- "+a[i])
	}
	if i < len(b) {
		out = append(out, "+ "+b[i])
	}
	return strings.Join(append(out, "  …"), "\n") + "\n"
}

type edit struct {
	kind byte // ' ', '-' or '+'
	text string
}

// edits turns a into b with the fewest lines changed (longest common subsequence).
func edits(a, b []string) []edit {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}

// shorten leaves out what is far from any change.
func shorten(all []string) []string {
	near := make([]bool, len(all))
	for i, l := range all {
		if l[0] != ' ' {
			for j := max(0, i-diffContext); j <= min(len(all)-1, i+diffContext); j++ {
				near[j] = true
			}
		}
	}
	var out []string
	for i, l := range all {
		if near[i] {
			out = append(out, l)
		} else if i == 0 || near[i-1] {
			out = append(out, "  …")
		}
	}
	return out
}
