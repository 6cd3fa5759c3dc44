// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package faults runs an operation in a process of its own under strace, once
// for each of its system calls and each kind of fault: killed just before the
// call, or the call failing with EIO. What is on the disk afterwards is checked
// each time. It also tells the order of the calls.
//
// A test binary uses it by calling Main from TestMain. That the page cache
// survives a killed process and not a power cut is what the order is for:
// data must be synced before the rename, the rename before the directory.
package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"usbagent/test/need"
)

const (
	operation = "USBAGENT_FAULTS_OPERATION"
	directory = "USBAGENT_FAULTS_DIRECTORY"
	begin     = "/usbagent-operation-begins"
	end       = "/usbagent-operation-ends"
)

// In the child everything happens on the first thread, so that the count of a
// system call is the same each time: strace counts by thread.
func init() {
	if os.Getenv(operation) != "" {
		runtime.LockOSThread()
	}
}

// built is the test binary that was made for the children, and its directory.
var built struct {
	sync.Once
	dir, path string
	err       error
}

// program is the test binary as children run it: without the race detector, whose
// memory costs a process under strace many times what the operation does. An
// operation on one thread has no races.
func program() (string, error) {
	built.Do(func() {
		info, ok := debug.ReadBuildInfo()
		if !ok || !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			built.path, built.err = os.Executable()
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "faults-program"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "test")
		if out, err := exec.Command("go", "test", "-c", "-o", built.path, ".").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the children's program: %w: %s", err, out)
		}
	})
	return built.path, built.err
}

// Prepare does what comes before the operation, in the child, and returns the
// operation itself.
type Prepare func(dir string) (run func() error, err error)

// Main is for TestMain. In the child it runs the operation and exits.
func Main(m *testing.M, operations map[string]Prepare) {
	name := os.Getenv(operation)
	if name == "" {
		code := m.Run()
		os.RemoveAll(built.dir)
		os.Exit(code)
	}
	run, err := operations[name](os.Getenv(directory))
	if err != nil {
		fmt.Println("prepare:", err)
		os.Exit(3)
	}
	syscall.Access(begin, 0)
	err = run()
	syscall.Access(end, 0)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Call is one system call of the operation, as strace shows it.
type Call struct {
	Name string
	Text string // without the process id
	nth  int    // among the calls of this name on the thread, from 1
}

// Outcome is what became of the operation.
type Outcome struct {
	Fault  string // "kill" or "EIO"
	Call   Call   // the one that was hit
	Killed bool
	Err    string // what the operation returned; "" when it succeeded
}

func (o Outcome) String() string { return fmt.Sprintf("%s at %s", o.Fault, o.Call.Text) }

// Every runs the operation name with each fault at each of its calls. setup
// makes the state before in a fresh directory, check looks at the state after;
// both are called by several goroutines at once.
func Every(t *testing.T, name string, setup func(dir string), check func(t *testing.T, dir string, o Outcome)) {
	t.Helper()
	calls := Calls(t, name, setup)
	type job struct {
		fault string
		call  Call
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.NumCPU() + 1 {
		wg.Go(func() {
			for j := range jobs {
				one(t, name, j.fault, j.call, setup, check)
			}
		})
	}
	for _, c := range calls {
		jobs <- job{"kill", c}
		jobs <- job{"EIO", c}
	}
	close(jobs)
	wg.Wait()
	t.Logf("%s: %d system calls, each killed and each failed", name, len(calls))
}

// one runs the operation with one fault.
func one(t *testing.T, name, fault string, c Call, setup func(string), check func(*testing.T, string, Outcome)) {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	setup(dir)
	inject := fmt.Sprintf("inject=%s:error=EIO:when=%d", c.Name, c.nth)
	if fault == "kill" {
		inject = fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", c.Name, c.nth)
	}
	trace, out, err := run(t, name, dir, inject)
	o := Outcome{Fault: fault, Call: c, Killed: strings.Contains(trace, "+++ killed by SIGKILL +++")}
	switch during := operationOf(trace); {
	case fault == "kill" && (!o.Killed || !strings.Contains(trace, begin) || strings.Contains(trace, end)):
		t.Errorf("%v: was not killed there\n%s", o, trace)
		return
	case fault == "EIO" && !strings.Contains(strings.Join(during, "\n"), "(INJECTED)"):
		t.Errorf("%v: was not injected there\n%s", o, trace)
		return
	case fault == "EIO" && err != nil:
		if o.Err = strings.TrimSpace(out); o.Err == "" || strings.HasPrefix(o.Err, "panic:") || strings.HasPrefix(o.Err, "prepare:") {
			t.Errorf("%v: %v\n%s", o, err, out)
			return
		}
	}
	check(t, dir, o)
}

// Calls lists the system calls of the operation when nothing goes wrong.
func Calls(t *testing.T, name string, setup func(dir string)) []Call {
	t.Helper()
	return callsBelow(t, "", name, setup)
}

// callsBelow is Calls in a directory below base: how deep it is decides how
// many calls there are.
func callsBelow(t *testing.T, base, name string, setup func(dir string)) []Call {
	t.Helper()
	dir, err := os.MkdirTemp(base, "faults")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	setup(dir)
	trace, out, err := run(t, name, dir, "")
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, out, trace)
	}
	var calls []Call
	counts := map[string]int{}
	inside := false
	for _, line := range mainThread(trace) {
		name, _, ok := strings.Cut(line, "(")
		switch {
		case strings.Contains(line, begin):
			inside = true
		case strings.Contains(line, end):
			inside = false
		case ok && !strings.HasPrefix(line, "+++") && !strings.HasPrefix(line, "---"):
			counts[name]++
			if inside {
				calls = append(calls, Call{name, line, counts[name]})
			}
		}
	}
	if len(calls) == 0 {
		t.Fatalf("%s: no system calls seen\n%s", name, trace)
	}
	return calls
}

// traced are the calls that touch files, on every architecture.
const traced = "openat ?open ?creat close read pread64 write pwrite64 lseek fstat ?newfstatat ?fstatat64 ?lstat ?stat statx " +
	"?readlink readlinkat ?symlink symlinkat ?link linkat ?unlink unlinkat ?rename ?renameat renameat2 ?mkdir mkdirat " +
	"fchmod ?chmod fchmodat fchown ?chown fchownat ftruncate truncate fsync fdatasync syncfs sync flock fcntl ?fcntl64 " +
	"getdents64 statfs fstatfs ?access faccessat ?faccessat2 dup3"

// run runs the child under strace (not with --seccomp-bpf: strace 6.1 delivers no
// signals then) and returns the trace and what it printed.
func run(t *testing.T, name, dir, inject string) (trace, out string, err error) {
	log := filepath.Join(os.TempDir(), filepath.Base(dir)+".trace")
	defer os.Remove(log)
	set := strings.ReplaceAll(traced, " ", ",")
	args := []string{"-f", "-s", "200", "-o", log, "-e", "trace=" + set}
	if inject != "" {
		args = append(args, "-e", inject)
	}
	self, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Tool(t, "strace"), append(args, self)...)
	cmd.Env = append(os.Environ(), operation+"="+name, directory+"="+dir, "GOMAXPROCS=1", "GOGC=off")
	printed, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(log)
	if readErr != nil {
		return "", string(printed), fmt.Errorf("strace: %w", readErr)
	}
	return string(text), string(printed), err
}

// mainThread returns the lines of the first thread, without its id.
func mainThread(trace string) []string {
	first, _, _ := strings.Cut(trace, " ")
	if _, err := strconv.Atoi(first); err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(trace) {
		id, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id == first {
			lines = append(lines, strings.TrimSpace(text))
		}
	}
	return lines
}

// operationOf returns the lines between begin and end.
func operationOf(trace string) []string {
	var lines []string
	inside := false
	for _, line := range mainThread(trace) {
		switch {
		case strings.Contains(line, begin):
			inside = true
		case strings.Contains(line, end):
			return lines
		case inside:
			lines = append(lines, line)
		}
	}
	return lines
}
