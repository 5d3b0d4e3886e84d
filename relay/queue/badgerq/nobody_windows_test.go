package badgerq

import (
	"os/exec"
	"testing"
)

const canBecomeNobody = false

func asNobody(*testing.T, *exec.Cmd) {}
