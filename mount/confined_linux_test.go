// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// prisoner is a Perl program (Perl's syscall makes any call) that runs where
// ntfs-3g would. It tries each of the named system calls or files, and prints
// what came of it.
const prisoner = `
$| = 1;
$trash = "\0" x 4096;
for (@ARGV) {
	my ($name, $what, @args) = split /:/;
	my $ok;
	$! = 0;
	if ($name eq "read") { $ok = sysopen(F, $what, 0) }
	elsif ($name eq "write") { $ok = sysopen(F, $what, 1) }
	elsif ($name eq "create") { $ok = sysopen(F, $what, 0101, 0644) }
	elsif ($name eq "list") { $ok = opendir(D, $what) }
	else { $ok = syscall($what, map { /^p(.*)/ ? ($1 eq "" ? $trash : "$1\0") : $_ + 0 } @args) != -1 }
	print "$name:$what ", ($ok ? "DONE" : $! + 0), "\n";
}
`

// TestPrisoner: what took over ntfs-3g can do nothing with it.
func TestPrisoner(t *testing.T) {
	need.Root(t)
	perl := need.Tool(t, "perl")
	const none, noent, rofs, acces, perm = int(unix.ENOSYS), int(unix.ENOENT), int(unix.EROFS), int(unix.EACCES), int(unix.EPERM)
	attempts := []struct {
		what string
		want int // errno; 0: done
	}{
		{"read:" + jailDevice, 0}, // what it is there for
		{"write:/dev/fuse", 0},
		{"write:" + jailDevice, acces},
		{"read:/etc/shadow", noent},
		{"read:/proc/1/environ", noent},
		{"read:/sys/kernel/uevent_seqnum", noent},
		{"read:/dev/mem", noent},
		{"read:/run", noent},
		{"read:/../../etc/passwd", noent},
		{"create:/usr/lib/evil.so", rofs},
		{"create:/evil", rofs},
		{"write:" + jailProgram, int(unix.ETXTBSY)},
		{"write:/proc/filesystems", acces},
		{call("execve", unix.SYS_EXECVE, "p"+jailProgram, "0", "0"), perm},
		{call("execveat", unix.SYS_EXECVEAT, "-100", "p"+jailProgram, "0", "0", "0"), none},
		{call("clone", unix.SYS_CLONE, "17", "0", "0", "0", "0"), none},
		{call("clone3", unix.SYS_CLONE3, "p", "64"), none},
		{call("socket", unix.SYS_SOCKET, "1", "1", "0"), none},
		{call("socketpair", unix.SYS_SOCKETPAIR, "1", "1", "0", "p"), none},
		{call("kill", unix.SYS_KILL, fmt.Sprint(os.Getpid()), "0"), none},
		{call("tgkill", unix.SYS_TGKILL, fmt.Sprint(os.Getpid()), fmt.Sprint(os.Getpid()), "0"), none},
		{call("pidfd_open", unix.SYS_PIDFD_OPEN, fmt.Sprint(os.Getpid()), "0"), none},
		{call("ptrace", unix.SYS_PTRACE, "16", fmt.Sprint(os.Getpid()), "0", "0"), none},
		{call("process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, fmt.Sprint(os.Getpid()), "p", "1", "p", "1", "0"), none},
		{call("prlimit64 of another", unix.SYS_PRLIMIT64, fmt.Sprint(os.Getpid()), "7", "0", "p"), none},
		{call("prlimit64 of its own", unix.SYS_PRLIMIT64, "0", "7", "0", "p"), 0},
		{call("umount2", unix.SYS_UMOUNT2, "p/", "2"), none},
		{call("fsopen", unix.SYS_FSOPEN, "ptmpfs", "0"), none},
		{call("open_tree", unix.SYS_OPEN_TREE, "-100", "p/", "1"), none},
		{call("move_mount", unix.SYS_MOVE_MOUNT, "-100", "p/usr", "-100", "p/target", "0"), none},
		{call("mount_setattr", unix.SYS_MOUNT_SETATTR, "-100", "p/", "0", "p", "32"), none},
		{call("unshare", unix.SYS_UNSHARE, "131072"), none},
		{call("setns", unix.SYS_SETNS, "0", "0"), none},
		{call("chroot", unix.SYS_CHROOT, "p/target"), none},
		{call("pivot_root", unix.SYS_PIVOT_ROOT, "p/", "p/"), none},
		{call("mknodat", unix.SYS_MKNODAT, "-100", "p/target/m", "8630", "257"), none},
		{call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, "0", "p", "0"), none},
		{call("bpf", unix.SYS_BPF, "0", "p", "64"), none},
		{call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, "p", "0", "-1", "-1", "0"), none},
		{call("io_uring_setup", unix.SYS_IO_URING_SETUP, "8", "p"), none},
		{call("userfaultfd", unix.SYS_USERFAULTFD, "0"), none},
		{call("keyctl", unix.SYS_KEYCTL, "0", "0", "0", "0", "0"), none},
		{call("init_module", unix.SYS_INIT_MODULE, "p", "0", "p"), none},
		{call("finit_module", unix.SYS_FINIT_MODULE, "0", "p", "0"), none},
		{call("reboot", unix.SYS_REBOOT, "0", "0", "0", "0"), none},
		{call("sethostname", unix.SYS_SETHOSTNAME, "p", "1"), none},
		{call("capset", unix.SYS_CAPSET, "p", "p"), none},
		{call("setuid", unix.SYS_SETRESUID, "1", "1", "1"), perm},
		{call("mmap beyond the limit", map[string]int{"amd64": 9, "arm64": 222, "arm": 192}[runtime.GOARCH], "0", fmt.Sprint(MaxHelperMemory), "3", "34", "-1", "0"), int(unix.ENOMEM)},
	}
	if archToken == unix.AUDIT_ARCH_X86_64 {
		attempts = append(attempts, struct {
			what string
			want int
		}{call("x32's ptrace", 0x40000000|521, "16", "1", "0", "0"), none})
	}
	args := []string{perl, loop(t, mkfs(t, 1<<20, "mkfs.ext2", "-q"), false).Path, "perl", "-e", prisoner}
	for _, a := range attempts {
		args = append(args, a.what)
	}
	said := imprison(t, args)
	for _, a := range attempts {
		name := strings.Join(strings.SplitN(a.what, ":", 3)[:2], ":")
		want := fmt.Sprintf("%s %d\n", name, a.want)
		if a.want == 0 {
			want = name + " DONE\n"
		}
		if !strings.Contains(said, want) {
			t.Errorf("want %q", strings.TrimSpace(want))
		}
	}
	if t.Failed() {
		t.Logf("it said:\n%s", said)
	}
}

// call names a system call for the prisoner.
func call(name string, nr int, args ...string) string {
	return strings.Join(append([]string{name, fmt.Sprint(nr)}, args...), ":")
}

// imprison runs a program in ntfs-3g's place to its end, with the listener
// supervised, and returns what it said.
func imprison(t *testing.T, args []string) string {
	t.Helper()
	m := mounter(t)
	c, err := m.startConfined(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.link.Close()
	root, err := c.serve(Device{Path: args[1]})
	<-c.exited
	if err == nil {
		root.Close()
		t.Error("it has mounted something")
	}
	return string(c.words.buf)
}

// TestMaxHelperCalls: calls that are asked for are answered that many times,
// the execution of the helper itself being the first; then nobody answers.
func TestMaxHelperCalls(t *testing.T) {
	need.Root(t)
	args := []string{need.Tool(t, "perl"), loop(t, mkfs(t, 1<<20, "mkfs.ext2", "-q"), false).Path, "perl", "-e", prisoner}
	for range maxHelperCalls + 1 {
		args = append(args, call("execve", unix.SYS_EXECVE, "p"+jailProgram, "0", "0"))
	}
	said := imprison(t, args)
	answered := strings.Count(said, fmt.Sprintf(" %d\n", int(unix.EPERM)))
	if unanswered := strings.Count(said, fmt.Sprintf(" %d\n", int(unix.ENOSYS))); answered != maxHelperCalls-1 || unanswered != 2 {
		t.Errorf("%d calls answered, %d not, want %d and 2", answered, unanswered, maxHelperCalls-1)
	}
}

// TestPrisonerMount: a trapped mount(2) without a FUSE connection of its own
// gets nothing, whatever its arguments.
func TestPrisonerMount(t *testing.T) {
	need.Root(t)
	perl := need.Tool(t, "perl")
	d := loop(t, mkfs(t, 1<<20, "mkfs.ext2", "-q"), false)
	m := mounter(t)
	c, err := m.startConfined(t.Context(), perl, d.Path, "perl", "-e", prisoner, call("mount", unix.SYS_MOUNT, "ptmpfs", "p/", "ptmpfs", "0", "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.link.Close()
	root, err := c.serve(d)
	if err == nil {
		root.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "without /dev/fuse") {
		t.Errorf("got %v", err)
	}
	<-c.exited // the listener is closed: the call fails
	if said := string(c.words.buf); !strings.Contains(said, fmt.Sprintf(" %d\n", int(unix.ENOSYS))) {
		t.Errorf("it said %q", said)
	}
}

// TestUnconfinedRefused: a process that is not confined is not let go on.
func TestUnconfinedRefused(t *testing.T) {
	if err := limit(os.Getpid()); err == nil || !strings.Contains(err.Error(), "not confined") {
		t.Errorf("got %v", err)
	}
}

// TestFilterProgram: every jump of the filter ends on one of its returns.
func TestFilterProgram(t *testing.T) {
	code, err := newFilter()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range code {
		if c.Code&0x07 != unix.BPF_JMP {
			continue
		}
		to := i + 1 + int(c.Jt)
		if c.Code&0xf0 == unix.BPF_JA {
			to = i + 1 + int(c.K)
		}
		if to >= len(code) || c.Jt != 1 && code[to].Code&0x07 != unix.BPF_RET {
			t.Errorf("instruction %d jumps to %d", i, to)
		}
	}
}
