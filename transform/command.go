package transform

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"edgerelay/transform/meter"
)

// WASI programs: what any toolchain for wasm32-wasip1 makes of a main function. Standard input is the event, standard output the body or
// the request (output.go), standard error the log. The exit code decides: 0 send, 100 drop, everything else failed. A program ends after
// one event, so every event gets an instance of its own.
const (
	exitSend = 0
	exitDrop = 100
)

var commandDialect = dialect{
	imports: map[string]map[string]hostFunc{wasiModule: wasiFuncs},
	check:   checkCommand,
	run:     runCommand,
	foreign: func(imp *meter.Import) string {
		if imp.Module == scriptModule {
			return fmt.Sprintf("it imports %s.%s (a symbol that was undefined when the program was linked)", imp.Module, imp.Name)
		}
		return fmt.Sprintf("it imports %s.%s, but a WASI program is offered only %s", imp.Module, imp.Name, wasiModule)
	},
}

func checkCommand(c *code, m *meter.Module) string {
	if got := m.FuncType(m.Export(exportStart).Index); !got.Equal(signature("", "")) {
		return fmt.Sprintf("it exports %s as %s, it must be %s", exportStart, got, signature("", ""))
	}
	if m.Memory == nil {
		return "it has no memory"
	}
	c.entries, c.entry = []string{exportStart}, exportStart
	return ""
}

func runCommand(in *instance) *Error {
	if err := in.guest(in.main); err != nil {
		if err.Kind != KindExit {
			return err
		}
		switch in.end.code {
		case exitSend:
		case exitDrop:
			in.out.Action = Drop
			return nil
		default:
			return &Error{Kind: KindFailed, Msg: fmt.Sprintf("exit code %d%s", in.end.code, in.lastLine())}
		}
	}
	return in.finishOutput()
}

// isProgram: it reads the event from standard input, writes to standard output and finds everything else in its environment.
func (in *instance) isProgram() bool { return in.pool.module.code.abi == ABICommand && in.meta != nil }

// environment is what a program can know besides the event: NAME=value, each with a zero at its end.
func (in *instance) environment() (vars [][]byte) {
	if !in.isProgram() {
		return nil
	}
	add := func(name string, value []byte) {
		if len(value) > 0 {
			vars = append(vars, append(append([]byte("EDGERELAY_"+name+"="), value...), 0))
		}
	}
	m := in.meta
	add("CONFIG", in.pool.config)
	add("ID", m.ID)
	add("TYPE", m.Type)
	add("TIME", m.Time)
	add("TENANT", m.Tenant)
	add("PROGRAM", m.Program)
	add("WEBHOOK", m.Webhook)
	add("ATTEMPT", strconv.AppendInt(nil, int64(m.Attempt), 10))
	add("CONTENT_TYPE", m.ContentType)
	return vars
}

func wasiEnvironSizes(in *instance, s []uint64) {
	size := 0
	vars := in.environment()
	for _, v := range vars {
		size += len(v)
	}
	in.spend(hostCallFuel + int64(size)/bytesPerFuel)
	in.putU32(s[0], uint32(len(vars)))
	in.putU32(s[1], uint32(size))
	s[0] = wasiOK
}

func wasiEnviron(in *instance, s []uint64) {
	list, at := s[0], s[1]
	for _, v := range in.environment() {
		in.spend(hostCallFuel + int64(len(v))/bytesPerFuel)
		in.putU32(list, uint32(at))
		copy(in.view(at, uint64(len(v))), v)
		list, at = list+4, at+uint64(len(v))
	}
	in.spend(hostCallFuel)
	s[0] = wasiOK
}

// wasiRead: standard input is the event of a program; for everybody else it is empty.
func wasiRead(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	vectors := uint64(uint32(s[2]))
	switch {
	case uint32(s[0]) != 0:
		s[0] = wasiBadF
		return
	case !in.isProgram():
		in.putU32(s[3], 0)
		s[0] = wasiOK
		return
	case vectors > maxVectors:
		s[0] = wasiInval
		return
	}
	read, rest := 0, in.input[in.stdin:]
	for list := in.view(s[1], vectors*8); len(list) > 0 && len(rest) > 0; list = list[8:] {
		n := min(uint64(binary.LittleEndian.Uint32(list[4:])), uint64(len(rest)))
		in.spend(int64(n) / bytesPerFuel)
		copy(in.view(uint64(binary.LittleEndian.Uint32(list)), n), rest)
		rest, read = rest[n:], read+int(n)
	}
	in.stdin += read
	in.putU32(s[3], uint32(read))
	s[0] = wasiOK
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
