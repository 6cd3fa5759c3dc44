// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/detach"
	"usbagent/test/need"
)

// agentCommand makes the test binary an agent of its own; see agentMain.
const agentCommand = "test-agent"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == SupervisorCommand {
		os.Exit(SupervisorMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == agentCommand {
		agentMain(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

// agentMain is an agent that prints what it does: it adopts the scripts of an
// earlier one, starts TARGET.verified, if that is there, for which it is
// removed first (as the executed list would), and waits for the end.
func agentMain(runDir, target string) {
	r := New(runDir)
	r.Output = func(line string) { fmt.Println(line) }
	if address := os.Getenv("TEST_BUS"); address != "" {
		r.systemd = &systemd{addresses: []string{address}}
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	for {
		run, err := r.Adopt(ctx)
		if err != nil || run == nil {
			fmt.Println("agent: nothing to adopt", or(err))
			break
		}
		fmt.Println("agent: adopted", run.ID())
		agentWait(ctx, run)
	}
	if os.Getenv("TEST_PREPARE") != "" {
		fmt.Println("agent: prepared", or(r.Prepare(ctx)))
		if os.Getenv("TEST_STOP_STANDBY") != "" && r.waiting != nil {
			r.systemd.kill(r.waiting.unit, "all", unix.SIGKILL)
		}
	}
	if content, err := os.ReadFile(target + ".verified"); err == nil {
		os.Remove(target + ".verified")
		id, err := os.ReadFile(target + ".id")
		if err != nil {
			id = []byte("one")
		}
		request := Request{ID: string(id), Name: ScriptName, Target: target, Timeout: agentTimeout()}
		if os.Getenv("TEST_STOP_FIRST") != "" {
			startWhileStopping(ctx, r, request, content)
		}
		run, err := r.start(ctx, request, content)
		if err != nil {
			fmt.Println("agent:", err)
			os.Exit(1)
		}
		fmt.Println("agent: started")
		if os.Getenv("TEST_PULL") != "" {
			for exists := false; !exists; time.Sleep(time.Millisecond) {
				_, err := os.Stat("/shared/running")
				exists = err == nil
			}
			fmt.Println("agent: pulled", or(detach.Connected(target)))
		}
		agentWait(ctx, run)
	}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		<-ctx.Done() // a service stays
	}
	r.Close()
	os.Exit(0)
}

// startWhileStopping has the agent end while systemd holds the script's unit back,
// which comes after the agent's in its order.
func startWhileStopping(ctx context.Context, r *Runner, q Request, content []byte) {
	exec.Command("systemctl", "--no-block", "restart", "usbagent").Run()
	<-ctx.Done()
	go r.start(context.Background(), q, content)
	for found := []string(nil); len(found) == 0; time.Sleep(time.Millisecond) {
		found, _ = r.systemd.find(context.Background())
	}
	fmt.Println("agent: left")
	os.Exit(0)
}

func agentTimeout() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("TEST_TIMEOUT"))
	return d
}

func agentWait(ctx context.Context, run *Run) {
	exit, err := run.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		fmt.Println("agent: told to stop")
		os.Exit(0)
	}
	if os.Getenv("TEST_LAST") != "" {
		lines, err := run.LastLines(ctx, 2)
		fmt.Println("agent: last", strings.Join(lines, "|"), or(err))
	}
	fmt.Println("agent:", exit, or(err))
	fmt.Println("agent: released", or(run.Release()))
}

func or(err error) string {
	if err == nil {
		return "-"
	}
	return err.Error()
}

// bench is a stick, a run directory and a runner that uses sessions.
type bench struct {
	*Runner
	target string
	mu     sync.Mutex
	output []string
}

// newBench mounts a stick that holds other bytes than those that were verified.
func newBench(t *testing.T) *bench {
	t.Helper()
	need.Root(t)
	dir := t.TempDir()
	b := &bench{target: filepath.Join(dir, "STICK")}
	b.Runner = &Runner{runDir: filepath.Join(dir, "run"), Output: func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.output = append(b.output, line)
	}}
	for _, d := range []string{b.target, b.runDir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("test", d, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
	}
	writeFile(t, filepath.Join(b.target, ScriptName), "echo unverified bytes were executed\n")
	return b
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) begin(t *testing.T, script string, change ...func(*Request)) *Run {
	t.Helper()
	q := Request{ID: "one", Name: ScriptName, Target: b.target}
	for _, c := range change {
		c(&q)
	}
	run, err := b.start(t.Context(), q, []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func finish(t *testing.T, run *Run) Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	exit, err := run.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Release(); err != nil {
		t.Fatal(err)
	}
	return exit
}

// run runs script to its end and returns its output.
func (b *bench) run(t *testing.T, script string, change ...func(*Request)) (string, Exit) {
	t.Helper()
	exit := finish(t, b.begin(t, script, change...))
	return b.text(), exit
}

func (b *bench) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.output, "\n")
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}

func TestScriptIsRootLogin(t *testing.T) {
	b := newBench(t)
	t.Setenv("USBAGENT_SECRET", "of the agent")
	runtime.LockOSThread() // ends with the test, and its priority with it
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, startPriority); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 20*usualSlack, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open("/etc/passwd") // and one that is inherited
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	unix.FcntlInt(held.Fd(), unix.F_SETFD, 0)
	fds := filepath.Join(t.TempDir(), "fds") // a pipe would be a descriptor of its own
	got, exit := b.run(t, `echo "$0 $# $-"; pwd; readlink /proc/$$/fd/0; echo "umask $(umask) nice $(nice) slack $(cat /proc/$$/timerslack_ns)"; cat /proc/$$/oom_score_adj
tr '\0' ' ' </proc/$$/cmdline; echo; tr '\0' '\n' </proc/$$/environ | sort
sh -c 'ls -l /proc/$1/fd >`+fds+`' sh $$; sed -n 's/.* \([0-9]* ->\)/fd \1/; s/:.*//; /^fd/p' `+fds+`
cat /proc/$$/status | grep -E 'Sig(Blk|Ign)'; read line || echo stdin is empty
[ "$(cut -d' ' -f6 /proc/$$/stat)" = $$ ] && echo own session`)
	want := `autorun.sh 0 
` + b.target + `
/dev/null
umask 0022 nice 0 slack 50000
0
/bin/sh autorun.sh 
HOME=/root
LOGNAME=root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
SHELL=/bin/sh
USER=root
fd 0 -> /dev/null
fd 1 -> pipe
fd 10 -> ` + b.target + `/autorun.sh
fd 2 -> pipe
SigBlk:	0000000000000000
SigIgn:	0000000000000000
stdin is empty
own session`
	if got != want || !exit.Success() {
		t.Errorf("%v, output:\n%s\nwant:\n%s", exit, got, want)
	}
}

// The name on the stick is the verified copy, for whoever opens it and however often.
func TestScriptReadsItself(t *testing.T) {
	b := newBench(t)
	got, exit := b.run(t, `#!/bin/sh
case $1$STAGE in
'') tail -n+8 "$0"; grep -c . autorun.sh; STAGE=2 exec sh "$0";;
2) STAGE=3; . ./autorun.sh;;
3) STAGE=4 exec ./autorun.sh;;
4) cat "`+b.target+`/autorun.sh" | tail -1; (echo evil >autorun.sh) 2>/dev/null || echo read-only; rm -f autorun.sh 2>/dev/null || echo stays;;
esac; exit $?
echo payload
`)
	if want := "echo payload\n8\necho payload\nread-only\nstays"; got != want {
		t.Errorf("%v, output:\n%s\nwant:\n%s", exit, got, want)
	}
	if text, _ := os.ReadFile(filepath.Join(b.target, ScriptName)); !strings.Contains(string(text), "unverified") {
		t.Error("after Release the stick's own file is still covered")
	}
	if left, _ := filepath.Glob(filepath.Join(b.runDir, scriptDir, "*")); len(left) != 0 {
		t.Errorf("Release left %v", left)
	}
}

// A stick can be anything: other case in the name, a plain directory.
func TestNameInOtherCase(t *testing.T) {
	b := newBench(t)
	os.Rename(filepath.Join(b.target, ScriptName), filepath.Join(b.target, "AutoRun.SH"))
	got, _ := b.run(t, `echo "$0"; [ -f "$0" ] && echo there`, func(q *Request) { q.Name = "AutoRun.SH" })
	if got != "AutoRun.SH\nthere" { // tmpfs tells the case, as ntfs-3g does
		t.Errorf("output: %s", got)
	}
}

func TestNameOnFAT(t *testing.T) {
	b := newBench(t)
	image := filepath.Join(t.TempDir(), "stick.img")
	if err := exec.Command(need.Tool(t, "mkfs.vfat"), "-C", image, "2048").Run(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, b.target).CombinedOutput(); err != nil {
		need.OnBoard(t, "a kernel that mounts FAT ("+strings.TrimSpace(string(out))+")", "TestBoardFileSystems")
	}
	t.Cleanup(func() { unix.Unmount(b.target, unix.MNT_DETACH) })
	writeFile(t, filepath.Join(b.target, "AUTORUN.SH"), "echo unverified\n")
	got, _ := b.run(t, `echo "$0"; [ "$1" ] || sh AutoRun.sh again`, func(q *Request) { q.Name = "AUTORUN.SH" })
	if got != "autorun.sh\nAutoRun.sh" {
		t.Errorf("output: %s", got)
	}
}

func TestRefusedNames(t *testing.T) {
	b := newBench(t)
	os.Remove(filepath.Join(b.target, ScriptName))
	for what, make := range map[string]func(path string) error{
		"symlink":   func(p string) error { return os.Symlink("/etc/passwd", p) },
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o644) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"missing":   func(p string) error { return nil },
	} {
		path := filepath.Join(b.target, ScriptName)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		_, err := b.start(t.Context(), Request{ID: "one", Name: ScriptName, Target: b.target}, []byte("echo no"))
		if err == nil || b.text() != "" {
			t.Errorf("%s: err %v, output %s", what, err, b.text())
		}
		if left, _ := b.runs(); len(left) != 0 {
			t.Errorf("%s: left behind: %v", what, left)
		}
		os.Remove(path)
	}
}

func TestExits(t *testing.T) {
	b := newBench(t)
	for script, want := range map[string]Exit{
		"exit 0":          {},
		"exit 77":         {Status: 77},
		"false":           {Status: 1},
		"kill -TERM $$":   {Signal: "SIGTERM"},
		"kill -SEGV $$":   {Signal: "SIGSEGV"},
		"if then":         {Status: 2},
		"":                {},
		"exec no-such":    {Status: 127},
		"exec true":       {},
		"exec >&- 2>&-":   {},
		"setsid sleep 9&": {},
	} {
		if _, exit := b.run(t, script); exit != want {
			t.Errorf("%q: %+v, want %+v", script, exit, want)
		}
	}
	if _, exit := b.run(t, "kill -9 $PPID; sleep 0.2"); exit != (Exit{Unknown: true}) {
		t.Errorf("supervisor killed: %+v, want unknown", exit)
	}
}

func TestLastLines(t *testing.T) {
	b := newBench(t)
	run := b.begin(t, fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); done; printf 'a\033[31mb'", MaxLastLines+20))
	if _, err := run.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines, err := run.LastLines(t.Context(), 3)
	if want := fmt.Sprintf("line %d|line %d|a\\x1b[31mb", MaxLastLines+18, MaxLastLines+19); err != nil || strings.Join(lines, "|") != want {
		t.Errorf("%q, %v, want %s", lines, err, want)
	}
	if all, _ := run.LastLines(t.Context(), 1000); len(all) != MaxLastLines {
		t.Errorf("%d lines kept, not %d", len(all), MaxLastLines)
	}
	finish(t, run)
}

func TestTimeoutEndsTheGroup(t *testing.T) {
	b := newBench(t)
	begin := time.Now()
	got, exit := b.run(t, `trap 'echo trapped; exit 3' TERM; (trap '' TERM; echo child; exec sleep 300) & sleep 300 & wait`,
		func(q *Request) { q.Timeout = 4 * time.Second }) // long enough for the trap to be set
	if exit != (Exit{Status: 3, TimedOut: true}) || got != "child\ntrapped" || time.Since(begin) > time.Minute {
		t.Errorf("%+v after %v, output %s", exit, time.Since(begin), got)
	}
	if out, _ := exec.Command("pgrep", "-f", "^sleep 300$").Output(); len(out) != 0 {
		t.Errorf("children left: %s", out)
	}
}

func TestBusy(t *testing.T) {
	b := newBench(t)
	run := b.begin(t, "read x </proc/self/fd/0; sleep 0.3")
	_, err := b.start(t.Context(), Request{ID: "two", Name: ScriptName, Target: b.target}, nil)
	if err == nil || !strings.Contains(err.Error(), ErrBusy.Error()) {
		t.Errorf("second start: %v", err)
	}
	if err := run.Release(); err == nil {
		t.Error("released while it runs")
	}
	finish(t, run)
}

func TestWaitCanBeLeft(t *testing.T) {
	b := newBench(t)
	run := b.begin(t, "echo one; sleep 3; echo two")
	b2, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := run.Wait(b2); err == nil || b2.Err() == nil {
		t.Fatalf("Wait: %v", err)
	}
	if exit := finish(t, run); !exit.Success() || b.text() != "one\ntwo" {
		t.Errorf("%v, output %s", exit, b.text())
	}
}

// startAgent starts another process as the agent and returns what it prints.
func startAgent(t *testing.T, b *bench, script string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	writeFile(t, b.target+".verified", script)
	cmd := exec.Command("/proc/self/exe", agentCommand, b.runDir, b.target)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func expect(t *testing.T, s *bufio.Scanner, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !s.Scan() || s.Text() != line {
			t.Fatalf("agent printed %q, want %q", s.Text(), line)
		}
	}
}

// The agent and its process group are killed, the stick is pulled, the script
// runs on, and the next agent gets the rest of its output and its status.
func TestAdoptAfterKill(t *testing.T) {
	b := newBench(t)
	flag := filepath.Join(b.runDir, "go")
	agent, out := startAgent(t, b, `echo one; while [ ! -e `+flag+` ]; do sleep 0.02; done
echo two; echo more >&2; [ "$1" ] || sh ./autorun.sh self || true; exit 5`)
	expect(t, out, "agent: nothing to adopt -", "agent: started", "one")
	unix.Kill(-agent.Process.Pid, unix.SIGKILL)
	agent.Wait()
	if err := detach.Connected(b.target); err != nil {
		t.Fatal(err)
	}
	run, err := b.Adopt(t.Context())
	if err != nil || run == nil || run.ID() != "one" || run.Target() != b.target {
		t.Fatalf("Adopt: %+v, %v", run, err)
	}
	writeFile(t, flag, "")
	if exit := finish(t, run); exit.Status != 5 || !strings.HasPrefix(b.text(), "two\nmore\n") || !strings.HasSuffix(b.text(), "\none\ntwo\nmore") {
		t.Errorf("%v, output:\n%s", exit, b.text())
	}
	if run, err := b.Adopt(t.Context()); run != nil || err != nil {
		t.Errorf("Adopt after Release: %v, %v", run, err)
	}
}

// The script ends while no agent is there.
func TestAdoptEnded(t *testing.T) {
	b := newBench(t)
	agent, out := startAgent(t, b, `echo $PPID; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 0.3; echo lost; exit 9`)
	expect(t, out, "agent: nothing to adopt -", "agent: started")
	agent.Wait()
	dir := filepath.Join(b.runDir, scriptDir, "one")
	waitUntil(t, "end", func() bool { _, err := os.Stat(filepath.Join(dir, exitFile)); return err == nil })
	run, err := b.Adopt(t.Context())
	if err != nil || run == nil {
		t.Fatalf("Adopt: %v, %v", run, err)
	}
	if exit := finish(t, run); exit.Status != 9 {
		t.Errorf("adopted: %v", exit)
	}
}

// What an agent leaves that dies in the middle of Start.
func TestAdoptInterruptedStart(t *testing.T) {
	b := newBench(t)
	if _, err := makeDir(b.runDir, "half", []byte("echo")); err != nil {
		t.Fatal(err)
	}
	if run, err := b.Adopt(t.Context()); run != nil || err != nil {
		t.Fatalf("Adopt: %v, %v", run, err)
	}
	if left, _ := b.runs(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	run, err := b.prepare(Request{ID: "bound", Name: ScriptName, Target: b.target}, []byte("echo"))
	if err != nil || run == nil {
		t.Fatal(err)
	}
	run, err = b.Adopt(t.Context())
	if err != nil || run == nil {
		t.Fatalf("Adopt: %v, %v", run, err)
	}
	if exit := finish(t, run); !exit.Unknown {
		t.Errorf("never started: %v, want unknown", exit)
	}
	if got, _ := b.run(t, "echo again"); got != "again" {
		t.Errorf("next start: %s", got)
	}
}

// A stick that is swapped between the bind and the shell is not executed.
func TestSwappedStickIsNotExecuted(t *testing.T) {
	b := newBench(t)
	run, err := b.prepare(Request{ID: "one", Name: ScriptName, Target: b.target}, []byte("echo verified"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("other", b.target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(b.target, unix.MNT_DETACH)
	writeFile(t, filepath.Join(b.target, ScriptName), "echo unverified\n")
	if run.life, err = startSession(run.dir); err != nil {
		t.Fatal(err)
	}
	exit, err := run.Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), ErrNotStarted.Error()) || b.text() != "" {
		t.Errorf("%v, %v, output %q", exit, err, b.text())
	}
	if err := run.Release(); err != nil {
		t.Error(err)
	}
}

// The script may unmount its own stick, and the bind stays in its directory.
func TestScriptDetachesStick(t *testing.T) {
	b := newBench(t)
	got, exit := b.run(t, `cd /; umount -l `+b.target+`; mountpoint -q `+b.target+` || echo unmounted`)
	if got != "unmounted" || !exit.Success() {
		t.Errorf("%v, output %s", exit, got)
	}
}

func TestBackgroundChildrenGoOn(t *testing.T) {
	b := newBench(t)
	mark := filepath.Join(b.runDir, "mark")
	_, exit := b.run(t, `(sleep 0.5; echo late; echo $? >`+mark+`) & echo $!`)
	if !exit.Success() {
		t.Fatal(exit)
	}
	if pid, err := strconv.Atoi(strings.Split(b.text(), "\n")[0]); err != nil || unix.Kill(pid, 0) != nil {
		t.Errorf("child is gone at the end of the script: %s", b.text())
	}
	waitUntil(t, "mark", func() bool { text, _ := os.ReadFile(mark); return string(text) == "0\n" })
}

func TestNotice(t *testing.T) {
	b := newBench(t)
	if text := b.Notice(); text != "" {
		t.Errorf("on tmpfs: %q", text)
	}
	b.runDir = "/"
	if text := b.Notice(); text == "" {
		t.Error("on a medium: no notice")
	}
}
