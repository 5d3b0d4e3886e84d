package kit

import (
	"encoding/xml"
	"fmt"
	"strings"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	Class     string        `xml:"classname,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitFailure `xml:"failure"`
	SystemOut string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report in the format that build servers read.
func (r *Report) JUnit() ([]byte, error) {
	s := junitSuite{Name: r.Plugin, Tests: len(r.Cases), Failures: r.Failed}
	total := 0.0
	for _, c := range r.Cases {
		total += c.Outcome.Micros
		j := junitCase{Name: c.Name, Class: r.Plugin, Time: seconds(c.Outcome.Micros)}
		for _, l := range c.Outcome.Log {
			j.SystemOut += l.Level + ": " + l.Text + "\n"
		}
		if !c.Passed {
			j.Failure = &junitFailure{Message: c.Problems[0], Text: strings.Join(c.Problems, "\n") + "\n" + c.Diff}
		}
		s.Cases = append(s.Cases, j)
	}
	s.Time = seconds(total)
	out, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JUnit report: %w", err)
	}
	return append([]byte(xml.Header), append(out, '\n')...), nil
}

func seconds(micros float64) string { return fmt.Sprintf("%.6f", micros/1e6) }
