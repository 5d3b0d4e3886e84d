package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"edgerelay/config"
)

// TestDeployedConfigLoads, and what deploy/ says of the program is true of it.
func TestDeployedConfigLoads(t *testing.T) {
	t.Setenv("EDGERELAY_TOKEN", strings.Repeat("a", 32))
	t.Setenv("METRICS_TOKEN", strings.Repeat("b", 32))
	c, err := config.Load("deploy/compose/edgerelay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings() {
		if w.Path != "ingress.listen" { // no TLS: a proxy's business
			t.Error(w)
		}
	}
	unit, err := os.ReadFile("deploy/systemd/edgerelay.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Type=notify\n", "ExecReload=/bin/kill -HUP $MAINPID\n", "RestartPreventExitStatus=2 75 78\n", "StateDirectory=edgerelay\n"} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	if regexp.MustCompile(`(?m)^MemoryDenyWriteExecute=`).Match(unit) {
		t.Error("the unit forbids what transforms need")
	}
}
