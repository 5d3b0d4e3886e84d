package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgerelay/relay/metrics"
)

// identifier finds names of ours, and of the collectors that come with the client.
var (
	identifier = regexp.MustCompile(`\b(edgerelay|go|process)_[a-z0-9_]+\b`)
	selector   = regexp.MustCompile(`\b(edgerelay_[a-z0-9_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\bby \(([a-z_, ]+)\)`)
)

// TestDeployedNamesExist compares every name and label in the dashboard and the alert rules with the program's own.
func TestDeployedNamesExist(t *testing.T) {
	m := used()
	m.WatchHistory(func() metrics.HistorySnapshot { return metrics.HistorySnapshot{} })
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, f := range families {
		names := []string{}
		for _, l := range f.Metric[0].Label {
			names = append(names, l.GetName())
		}
		name := f.GetName()
		labels[name] = names
		if f.GetType().String() == "HISTOGRAM" {
			labels[name+"_count"], labels[name+"_sum"], labels[name+"_bucket"] = names, names, append(slices.Clone(names), "le")
		}
	}
	all := map[string]bool{}
	for _, names := range labels {
		for _, n := range names {
			all[n] = true
		}
	}
	common := []string{"job", "instance"} // Prometheus adds them
	for _, file := range []string{"../../deploy/grafana/edgerelay.json", "../../deploy/prometheus/alerts.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		queries := expressions(t, file, text)
		if len(queries) < 10 {
			t.Errorf("%s: only %d expressions are found", file, len(queries))
		}
		for _, q := range queries {
			for _, name := range identifier.FindAllString(q, -1) {
				if labels[name] == nil {
					t.Errorf("%s: there is no metric %s, in %s", file, name, q)
				}
			}
			for _, s := range selector.FindAllStringSubmatch(q, -1) {
				for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
					if !slices.Contains(labels[s[1]], l[1]) && !slices.Contains(common, l[1]) {
						t.Errorf("%s: %s has no label %s, in %s", file, s[1], l[1], q)
					}
				}
			}
			for _, g := range grouping.FindAllStringSubmatch(q, -1) {
				for _, l := range strings.Split(g[1], ",") {
					if l = strings.TrimSpace(l); !all[l] && !slices.Contains(common, l) {
						t.Errorf("%s: there is no label %s, in %s", file, l, q)
					}
				}
			}
			if strings.Count(q, "(") != strings.Count(q, ")") {
				t.Errorf("%s: parentheses do not match in %s", file, q)
			}
		}
	}
}

// expressions are the queries of a dashboard or of alert rules.
func expressions(t *testing.T, file string, text []byte) (out []string) {
	t.Helper()
	if strings.HasSuffix(file, ".json") {
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
			Templating struct{ List []struct{ Query string } }
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				out = append(out, target.Expr)
			}
		}
		for _, v := range d.Templating.List {
			out = append(out, v.Query)
		}
		return out
	}
	for _, rule := range strings.Split(string(text), "- alert:")[1:] {
		_, rest, ok := strings.Cut(rule, "expr:")
		if !ok {
			t.Errorf("%s: a rule without an expression: %s", file, rule)
			continue
		}
		end := regexp.MustCompile(`\n        [a-z]+:`).FindStringIndex(rest)
		if end == nil {
			t.Errorf("%s: a rule that ends in its expression: %s", file, rule)
			continue
		}
		out = append(out, rest[:end[0]])
		for _, want := range []string{"severity:", "summary:", "description:"} {
			if !strings.Contains(rule, want) {
				t.Errorf("%s: a rule without %s %s", file, want, rule)
			}
		}
	}
	return out
}
