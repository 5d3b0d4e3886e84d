package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSettled(t *testing.T) {
	s := settled{last: "a"}
	for i, step := range []struct {
		stamp string
		want  bool
	}{{"a", false}, {"b", false}, {"c", false}, {"c", true}, {"c", false}, {"d", false}, {"c", false}, {"d", false}, {"d", true}} {
		if got := s.now(step.stamp); got != step.want {
			t.Errorf("step %d, %s: %v", i, step.stamp, got)
		}
	}
}

func TestStampOf(t *testing.T) {
	dir := t.TempDir()
	file, other := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yml")
	seen := map[string]bool{}
	look := func(what string, change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		stamp := stampOf([]string{dir, filepath.Join(dir, "none.yaml")})
		if seen[stamp] {
			t.Errorf("%s is not seen", what)
		}
		seen[stamp] = true
	}
	look("nothing", func() error { return nil })
	look("a new file", func() error { return os.WriteFile(file, []byte("version: 1\n"), 0o600) })
	look("another length", func() error { return os.WriteFile(file, []byte("version:  1\n"), 0o600) })
	look("a second file", func() error { return os.WriteFile(other, nil, 0o600) })
	look("a file less", func() error { return os.Remove(file) })
}
