package transform

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"time"
)

// The part of WASI that language runtimes need to come up: a clock that stands at the event's time, random numbers that follow from the
// event, standard output and error that go to the log. There are no files, arguments or sockets; what asks for them is answered "not
// supported", so that any WASI library can be linked in. What programs get besides is in command.go.
const wasiModule = "wasi_snapshot_preview1"

// Error numbers.
const (
	wasiOK       = 0
	wasiBadF     = 8
	wasiInval    = 28
	wasiNotSup   = 58
	wasiNoSys    = 52
	wasiSeekPipe = 70
)

// wasiState is the small state that the functions keep.
type wasiState struct {
	slept  int64 // nanoseconds that the guest slept since it was made: its clock goes on, we do not wait
	before int64 // slept when the run began
	start  int64 // the event's time in nanoseconds, 0 = not parsed yet
	seeded bool
	random rand.ChaCha8
}

func (w *wasiState) begin() { w.before, w.start, w.seeded = w.slept, 0, false }

// initTime is the time during init: 2000-01-01.
const initTime = 946_684_800_000_000_000

var wasiFuncs = map[string]hostFunc{
	"args_get":            {"ii", "i", wasiAnswer(wasiOK)},
	"args_sizes_get":      {"ii", "i", wasiNothing},
	"environ_get":         {"ii", "i", wasiEnviron},
	"environ_sizes_get":   {"ii", "i", wasiEnvironSizes},
	"clock_res_get":       {"ii", "i", wasiClockRes},
	"clock_time_get":      {"iIi", "i", wasiClockTime},
	"fd_close":            {"i", "i", wasiAnswer(wasiOK)},
	"fd_fdstat_get":       {"ii", "i", wasiFdStat},
	"fd_fdstat_set_flags": {"ii", "i", wasiAnswer(wasiOK)},
	"fd_prestat_get":      {"ii", "i", wasiAnswer(wasiBadF)},
	"fd_prestat_dir_name": {"iii", "i", wasiAnswer(wasiBadF)},
	"fd_read":             {"iiii", "i", wasiRead},
	"fd_seek":             {"iIii", "i", wasiAnswer(wasiSeekPipe)},
	"fd_write":            {"iiii", "i", wasiWrite},
	"poll_oneoff":         {"iiii", "i", wasiPoll},
	"proc_exit":           {"i", "", wasiExit},
	"random_get":          {"ii", "i", wasiRandom},
	"sched_yield":         {"", "i", wasiAnswer(wasiOK)},
}

// wasiRefused are the functions that exist and are not supported.
var wasiRefused = map[string]string{
	"fd_advise": "iIIi", "fd_allocate": "iII", "fd_datasync": "i", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
	"fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_pwrite": "iiiIi", "fd_readdir": "iiiIi",
	"fd_renumber": "ii", "fd_sync": "i", "fd_tell": "ii", "path_create_directory": "iii", "path_filestat_get": "iiiii",
	"path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii",
	"path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii", "proc_raise": "i",
	"sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}

func init() {
	for name, params := range wasiRefused {
		wasiFuncs[name] = hostFunc{params, "i", wasiAnswer(wasiNoSys)}
	}
}

func wasiAnswer(errno uint64) func(*instance, []uint64) {
	return func(in *instance, s []uint64) {
		in.spend(hostCallFuel)
		s[0] = errno
	}
}

func (in *instance) putU32(ptr uint64, v uint32) { binary.LittleEndian.PutUint32(in.view(ptr, 4), v) }
func (in *instance) putU64(ptr uint64, v uint64) { binary.LittleEndian.PutUint64(in.view(ptr, 8), v) }

// wasiNothing: no arguments.
func wasiNothing(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	in.putU32(s[0], 0)
	in.putU32(s[1], 0)
	s[0] = wasiOK
}

func wasiClockRes(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	in.putU64(s[1], 1)
	s[0] = wasiOK
}

// wasiClockTime: clock 0 tells the event's time, the others how long the guest has slept.
func wasiClockTime(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	t := int64(time.Second) + in.wasi.slept
	if uint32(s[0]) == 0 {
		t = in.eventTime() + in.wasi.slept - in.wasi.before
	}
	in.putU64(s[2], uint64(t))
	s[0] = wasiOK
}

func (in *instance) eventTime() int64 {
	w := &in.wasi
	if w.start == 0 {
		w.start = initTime
		if in.meta != nil {
			if t, err := time.Parse(time.RFC3339Nano, string(in.meta.Time)); err == nil {
				w.start = t.UnixNano()
			}
		}
	}
	return w.start
}

func wasiRandom(in *instance, s []uint64) {
	n := uint64(uint32(s[1]))
	b := in.view(s[0], n)
	in.spend(hostCallFuel + 4*int64(n))
	in.random().Read(b)
	s[0] = wasiOK
}

// random follows from the event's id and the module.
func (in *instance) random() *rand.ChaCha8 {
	w := &in.wasi
	if !w.seeded {
		seed := in.pool.module.hash
		if in.meta != nil {
			seed = sha256.Sum256(append(append(make([]byte, 0, 128), seed[:]...), in.meta.ID...))
		}
		w.random.Seed(seed)
		w.seeded = true
	}
	return &w.random
}

// wasiFdStat: the three standard streams are character devices without rights. A program's output is none, so that its language collects
// lines before it writes them.
func wasiFdStat(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	if uint32(s[0]) > 2 {
		s[0] = wasiBadF
		return
	}
	b := in.view(s[1], 24)
	clear(b)
	if !in.isProgram() || uint32(s[0]) == 2 {
		b[0] = 2
	}
	s[0] = wasiOK
}

const maxVectors = 1024

// wasiWrite: standard output and standard error are the log; a program's standard output is its output.
func wasiWrite(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	fd, vectors := uint32(s[0]), uint64(uint32(s[2]))
	if fd != 1 && fd != 2 {
		s[0] = wasiBadF
		return
	}
	if vectors > maxVectors {
		s[0] = wasiInval
		return
	}
	level := LevelInfo
	if fd == 2 {
		level = LevelWarn
	}
	written := uint32(0)
	list := in.view(s[1], vectors*8)
	for ; len(list) > 0; list = list[8:] {
		n := binary.LittleEndian.Uint32(list[4:])
		written += n
		if fd == 1 && in.isProgram() {
			in.roomForOutput(uint64(n))
			in.spend(int64(n) / bytesPerFuel)
			in.out.Body = append(in.out.Body, in.view(uint64(binary.LittleEndian.Uint32(list)), uint64(n))...)
			continue
		}
		text := in.text(uint64(binary.LittleEndian.Uint32(list)), uint64(n), in.pool.limits.MaxLog)
		in.out.logStream(level, text, in.pool.limits.MaxLog)
	}
	in.putU32(s[3], written)
	s[0] = wasiOK
}

func wasiExit(in *instance, s []uint64) {
	in.end.code = int32(s[0])
	in.abort(KindExit, "the module ended itself with code "+strconv.Itoa(int(in.end.code))+in.lastWords())
}

const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 64
)

// wasiPoll is how guests sleep: their clock goes on at once. Subscriptions to anything else are answered "not supported".
func wasiPoll(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	n := uint64(uint32(s[2]))
	if n == 0 || n > maxSubscriptions {
		s[0] = wasiInval
		return
	}
	in.spend(int64(n) * hostCallFuel / 4)
	subs := in.view(s[0], n*subscriptionSize)
	events := in.view(s[1], n*eventSize)
	wait := int64(-1)
	for b := subs; len(b) > 0; b = b[subscriptionSize:] {
		if b[8] == 0 {
			if t := in.sleepTime(b); wait < 0 || t < wait {
				wait = t
			}
		} else {
			wait = 0
		}
	}
	count := uint32(0)
	for b := subs; len(b) > 0; b = b[subscriptionSize:] {
		errno := uint16(wasiNotSup)
		if b[8] == 0 {
			if in.sleepTime(b) > wait {
				continue
			}
			errno = wasiOK
		}
		e := events[:eventSize]
		events = events[eventSize:]
		userdata, kind := [8]byte(b), b[8]
		clear(e)
		copy(e, userdata[:])
		binary.LittleEndian.PutUint16(e[8:], errno)
		e[10] = kind
		count++
	}
	in.wasi.slept = min(in.wasi.slept+wait, 1<<61)
	in.putU32(s[3], count)
	s[0] = wasiOK
}

// maxSleep keeps the guest's clock in range.
const maxSleep = int64(24 * time.Hour)

// sleepTime is how long a clock subscription asks to wait from now.
func (in *instance) sleepTime(b []byte) int64 {
	t := binary.LittleEndian.Uint64(b[24:])
	if t > 1<<62 {
		return maxSleep
	}
	wait := int64(t)
	if absolute := b[40]&1 != 0; absolute {
		now := int64(time.Second) + in.wasi.slept
		if binary.LittleEndian.Uint32(b[16:]) == 0 {
			now = in.eventTime() + in.wasi.slept - in.wasi.before
		}
		wait -= now
	}
	return max(0, min(wait, maxSleep))
}
