package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"edgerelay/config"
	"edgerelay/relay"
)

// docPages are the pages for people; each YAML block in them is a config that loads, and each link leads somewhere.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = string(text)
		}
	}
	return pages
}

var (
	yamlBlock = regexp.MustCompile("(?ms)^```ya?ml *\n(.*?)^```")
	variable  = regexp.MustCompile(`\$\{([A-Z_][A-Z0-9_]*)\}`)
	link      = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
)

// docSecret is good for a token and for a signing secret.
const docSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// fragmentHead completes a block that shows only some keys of a webhook.
const fragmentHead = "webhooks:\n  - name: fragment\n    events: [x]\n    url: https://receiver.example/\n"

func TestDocsYAMLBlocksAreConfigs(t *testing.T) {
	blocks := 0
	for page, text := range docPages(t) {
		for _, m := range yamlBlock.FindAllStringSubmatchIndex(text, -1) {
			blocks++
			block, line := text[m[2]:m[3]], strings.Count(text[:m[2]], "\n")
			if strings.HasPrefix(block, "    ") { // the inside of a webhook
				block, line = fragmentHead+block, line-strings.Count(fragmentHead, "\n")
			}
			// Empty lines in front keep the page's line numbers in what is reported.
			checkConfig(t, page, strings.Repeat("\n", line)+block)
		}
	}
	if blocks == 0 {
		t.Error("no YAML block found in the docs")
	}
}

func TestExamplesAreConfigs(t *testing.T) {
	names, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d examples, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkConfig(t, name, string(text))
	}
}

// checkConfig loads text and compiles what it names, as `edgerelay validate` does.
func checkConfig(t *testing.T, name, text string) {
	t.Helper()
	for _, v := range variable.FindAllStringSubmatch(text, -1) {
		t.Setenv(v[1], docSecret)
	}
	c, err := config.Parse(name, []byte(text))
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if problems := relay.Check(t.Context(), c); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

func TestDocsLinksLeadSomewhere(t *testing.T) {
	for page, text := range docPages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: link to %s: %v", page, target, err)
			}
		}
	}
}
