// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usbagent/test/need"
)

// disk makes a partitioned image of file system images.
func (b *bench) disk(label string, parts ...string) string {
	b.t.Helper()
	need.Tool(b.t, "sfdisk")
	path := filepath.Join(b.dir, "sticks", "disk.img")
	const mib = 1 << 20
	offset := int64(1)
	table := "label: " + label + "\n"
	var starts []int64
	for _, p := range parts {
		info, err := os.Stat(p)
		b.must(err)
		size := info.Size() / mib
		table += fmt.Sprintf("start=%dMiB, size=%dMiB, type=%s\n", offset, size, map[string]string{"gpt": "L", "dos": "83"}[label])
		starts = append(starts, offset)
		offset += size
	}
	b.must(os.WriteFile(path, nil, 0o644))
	b.must(os.Truncate(path, (offset+1)*mib))
	cmd := exec.Command("sfdisk", "-q", path)
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("sfdisk: %v: %s", err, out)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	b.must(err)
	defer f.Close()
	for i, p := range parts {
		_, err := f.WriteAt([]byte(read(b.t, p)), starts[i]*mib)
		b.must(err)
	}
	return path
}

// TestPartitionsInNumberOrder checks that each step runs over all partitions
// before the next one begins.
func TestPartitionsInNumberOrder(t *testing.T) {
	b := newBench(t)
	b.start()
	script := func(name string) files {
		f := files{"autorun.sh": "#!/bin/sh\necho " + name + " >>" + b.dir + "/out\n"}
		return f.sign(b, "autorun.sh", customer)
	}
	parts := []string{b.stick("one", script("one"))}
	for i := 2; i <= 11; i++ {
		parts = append(parts, b.stick(fmt.Sprint("p", i), files{"readme": ""}))
	}
	last := script("twelve")
	for name, content := range b.keyringFiles() {
		last[name] = content
	}
	parts = append(parts, b.stick("twelve", last))
	device := b.plugDisk(b.disk("gpt", parts...))
	s := b.finished(0)
	if got := read(t, b.dir+"/out"); got != "one\ntwelve\n" {
		t.Errorf("scripts wrote %q: the keyring of the last partition comes before the script of the first", got)
	}
	mounts := 0
	for _, x := range s.Steps {
		if x.Step == "mount" && x.Result == "done" {
			mounts++
		}
	}
	if mounts != 12 {
		t.Errorf("%d of 12 partitions mounted", mounts)
	}
	b.pull(device)
	b.wait("all mount points to be gone", func() bool { return len(b.mounts()) == 0 })
	b.wait("their directories to be gone", func() bool {
		left, err := os.ReadDir(b.dir + "/media")
		return err == nil && len(left) == 0
	})
}

func TestUnreadablePartitionBesideAGoodOne(t *testing.T) {
	b := newBench(t)
	b.start()
	broken := filepath.Join(b.dir, "sticks", "zero.img")
	b.must(os.WriteFile(broken, make([]byte, 2<<20), 0o644))
	device := b.plugDisk(b.disk("dos", broken, b.stick("good", files{"readme": ""})))
	s := b.finished(0)
	if s.Code != 0 || s.Label != "good" {
		t.Errorf("code %d, label %q: an unreadable partition beside a good one is no failure", s.Code, s.Label)
	}
	b.pull(device)
	b.plugs = 10
	device = b.plug(broken)
	s = b.finished(1)
	if s.Code != 2 {
		t.Errorf("nothing readable: code %d, want 2", s.Code)
	}
	b.expect(s, "mount", "failed", "")
	b.pull(device)
}

func TestMountedElsewhereIsLeftAlone(t *testing.T) {
	b := newBench(t)
	device := b.plug(b.stick("THEIRS", b.scriptFiles("echo ran >>"+b.dir+"/out")))
	theirs := filepath.Join(b.dir, "theirs")
	b.must(os.Mkdir(theirs, 0o755))
	if out, err := exec.Command("mount", "-o", "ro", device, theirs).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	b.start()
	s := b.done(device)
	b.expect(s, "mount", "skipped", "already mounted")
	if s.Code != 0 || b.exists("out") {
		t.Errorf("code %d, script ran: %v", s.Code, b.exists("out"))
	}
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
	if out, err := exec.Command("umount", theirs).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v: %s", err, out)
	}
	b.pull(device)
}

func TestColdplugAndRepeatedEvents(t *testing.T) {
	b := newBench(t)
	device := b.plug(b.stick("COLD", b.scriptFiles("echo ran >>"+b.dir+"/out")))
	b.start()
	b.expect(b.finished(0), "autorun", "done", "exit status 0")
	uevent := "/sys/block/" + filepath.Base(device) + "/uevent"
	for range 20 {
		b.must(os.WriteFile(uevent, []byte("add"), 0))
		b.must(os.WriteFile(uevent, []byte("change"), 0))
	}
	s, second := b.run("SECOND", files{}) // by now the repeated events are through
	if s.Device == filepath.Base(device) || len(b.status().Sticks) != 2 {
		t.Errorf("the repeated events made a stick: %+v", b.status().Sticks)
	}
	if got := read(t, b.dir+"/out"); got != "ran\n" {
		t.Errorf("the script wrote %q", got)
	}
	b.pull(device)
	b.pull(second)
}

func TestRefusedFilesDoNotStopTheRest(t *testing.T) {
	b := newBench(t)
	b.config["autorun.max_size"] = `"1KiB"`
	b.start()
	big := files{"autorun.sh": "#!/bin/sh\n" + strings.Repeat("# long\n", 200)}.sign(b, "autorun.sh", vendor)
	for _, c := range []struct {
		name   string
		files  files
		step   string
		reason string
		code   int
	}{
		{"half keyring", files{"fwupdate-keyring.pem": "x"}, "keyring", "fwupdate-keyring.pem.p7s is missing", 3},
		{"half script", files{"autorun.sh.p7s": "x"}, "autorun", "autorun.sh is missing", 4},
		{"script too large", big, "autorun", "the limit is 1 KiB (autorun.max_size)", 4},
		{"signature too large", files{"autorun.sh": "x", "autorun.sh.p7s": strings.Repeat("x", 1<<20+1)}, "autorun", "the limit is 1 MiB", 4},
		{"directory", files{"autorun.sh/x": "", "autorun.sh.p7s": "x"}, "autorun", "a directory", 4},
		{"no keyring at all", files{"fwupdate-keyring.pem": "hello\n", "fwupdate-keyring.pem.p7s": "x"}, "keyring", "", 3},
	} {
		s, device := b.run("REFUSED", c.files)
		b.expect(s, c.step, "refused", c.reason)
		if s.Code != c.code {
			t.Errorf("%s: code %d, want %d", c.name, s.Code, c.code)
		}
		b.pull(device)
	}
	f := b.scriptFiles("echo ran >>" + b.dir + "/out")
	f["fwupdate-keyring.pem"] = "half a pair"
	s, device := b.run("BOTH", f)
	b.expect(s, "keyring", "refused", "is missing")
	b.expect(s, "autorun", "done", "")
	if s.Code != 3 {
		t.Errorf("the first failure counts: code %d, want 3", s.Code)
	}
	b.pull(device)
}

func TestBrokenConfigurationKeepsTheDaemon(t *testing.T) {
	b := newBench(t)
	b.config["mount.rooot"] = `"/media"`
	b.start()
	if st := b.status(); !strings.Contains(st.ConfigError, "mount") || !strings.Contains(st.ConfigError, "rooot") {
		t.Errorf("config_error is %q", st.ConfigError)
	}
	_, device := b.run("STILL", files{})
	b.pull(device)
}

func TestProcessDirectory(t *testing.T) {
	b := newBench(t)
	program, err := usbagent()
	b.must(err)
	dir := filepath.Join(b.dir, "stick")
	b.must(os.Mkdir(dir, 0o755))
	for name, content := range b.scriptFiles("pwd >>" + b.dir + "/out") {
		b.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	process := func() (int, string) {
		cmd := command(program, append([]string{"process", "--config", b.configFile(), dir}, b.flags...)...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for range 2 { // the second time it is in the list
		if status, out := process(); status != 0 {
			t.Errorf("exit status %d: %s", status, out)
		}
	}
	if got := read(t, b.dir+"/out"); got != dir+"\n" {
		t.Errorf("the script wrote %q", got)
	}
	b.must(os.WriteFile(filepath.Join(dir, "autorun.sh"), []byte("#!/bin/sh\ntouch "+b.dir+"/forged\n"), 0o644))
	if status, out := process(); status != 1 || b.exists("forged") {
		t.Errorf("a tampered script: exit status %d: %s", status, out)
	}
	if mounts := b.mounts(); len(mounts) != 0 {
		t.Errorf("mounts left: %v", mounts)
	}
}

// TestStopAtAnyMoment tells the daemon to end at moments that are spread over
// a whole stick.
func TestStopAtAnyMoment(t *testing.T) {
	b := newBench(t)
	for i := range 10 {
		b.start()
		device := b.plug(b.stick("STOP", b.scriptFiles(fmt.Sprintf("echo %d >>%s/out", i, b.dir))))
		b.pause(i)
		if took := b.stop(syscall.SIGTERM); took.Seconds() > 5 {
			t.Errorf("stopped at moment %d, the daemon took %v to end", i, took)
		}
		b.start()
		b.done(device)
		b.pull(device)
		b.stop(syscall.SIGTERM)
	}
	if got := strings.Fields(b.out()); len(got) != 10 {
		t.Errorf("10 scripts ran %d times: %v", len(got), got)
	}
}
