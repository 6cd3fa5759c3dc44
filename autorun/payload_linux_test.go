// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/internal/detach"
	"usbagent/internal/staging"
	"usbagent/test/need"
)

// vouch is the file that a script vouches for with this content.
func vouch(path, content string) File {
	return File{Path: path, Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content))}
}

// lying puts files with other bytes on the stick than those that are returned
// as verified copies.
func (b *bench) lying(t *testing.T, verified map[string]string) *Payload {
	t.Helper()
	var files []File
	for path, content := range verified {
		files = append(files, vouch(path, content))
		os.MkdirAll(filepath.Dir(filepath.Join(b.target, path)), 0o755)
		writeFile(t, filepath.Join(b.target, path), "echo unverified\n")
	}
	p, err := NewPayload(b.runDir, filepath.Join(t.TempDir(), "state", "staging"), files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for _, f := range files {
		if err := p.Add(t.Context(), f, strings.NewReader(verified[f.Path]), strings.HasSuffix(f.Path, ".sh")); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// nameless fails the test where a name of a copy is left.
func nameless(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if left, _ := filepath.Glob(filepath.Join(dir, payloadPrefix+"*")); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestPayload: the script and its children see the verified copies under the
// paths on the stick, read-only, executable where they are to be, after the
// stick was pulled too; after the script the stick's own files are there again.
func TestPayload(t *testing.T) {
	b := newBench(t)
	large := strings.Repeat("large", MaxSmallFile/4)
	p := b.lying(t, map[string]string{"config.txt": "verified\n", "bin/tool.sh": "#!/bin/sh\necho tool\n", "a/b/large": large})
	flag := filepath.Join(b.runDir, "go")
	run := b.begin(t, `cat config.txt; bin/tool.sh; sh -c 'cat $PWD/config.txt'; wc -c <a/b/large
(echo evil >config.txt) 2>/dev/null || echo read-only; [ -x config.txt ] || echo not executable
touch `+flag+`.there; while [ ! -e `+flag+` ]; do sleep 0.02; done; cat config.txt; head -c5 a/b/large`, func(q *Request) { q.Payload = p })
	p.Close()
	nameless(t, p.memory, p.disk)
	waitUntil(t, "output", func() bool { _, err := os.Stat(flag + ".there"); return err == nil })
	if err := detach.Connected(b.target); err != nil {
		t.Fatal(err)
	}
	writeFile(t, flag, "")
	finish(t, run)
	want := "verified\ntool\nverified\n1310720\nread-only\nnot executable\nverified\nlarge"
	if got := b.text(); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("output:\n%s\nwant:\n%s", got, want)
	}
}

func TestPayloadIsUncoveredAfterwards(t *testing.T) {
	b := newBench(t)
	p := b.lying(t, map[string]string{"x/config.txt": "verified\n"})
	got, _ := b.run(t, "cat x/config.txt", func(q *Request) { q.Payload = p })
	p.Close()
	own, err := os.ReadFile(filepath.Join(b.target, "x/config.txt"))
	if got != "verified" || err != nil || string(own) != "echo unverified\n" {
		t.Errorf("script saw %q, the stick has %q, %v", got, own, err)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), b.target+"/") {
		t.Errorf("mounts left:\n%s", mounts)
	}
}

// TestPayloadOfAnotherAgent: an agent that is killed leaves the script its
// files, and the next one takes them away after it.
func TestPayloadOfAnotherAgent(t *testing.T) {
	b := newBench(t)
	p := b.lying(t, map[string]string{"config.txt": "verified\n"})
	run := b.begin(t, "sleep 0.3; cat config.txt", func(q *Request) { q.Payload = p })
	p.Close()
	run.life.(*session).close()
	adopted, err := b.Adopt(t.Context())
	if err != nil || adopted == nil {
		t.Fatal(err)
	}
	finish(t, adopted)
	own, _ := os.ReadFile(filepath.Join(b.target, "config.txt"))
	if b.text() != "verified" || string(own) != "echo unverified\n" {
		t.Errorf("script saw %q, the stick has %q", b.text(), own)
	}
}

// TestPayloadOfAnInterruptedStart: the binds of an agent that died before the
// shell was executed do not stay.
func TestPayloadOfAnInterruptedStart(t *testing.T) {
	b := newBench(t)
	p := b.lying(t, map[string]string{"config.txt": "verified\n"})
	if _, err := b.prepare(Request{ID: "one", Name: ScriptName, Target: b.target, Payload: p}, []byte("echo")); err != nil {
		t.Fatal(err)
	}
	p.Close()
	run, err := b.Adopt(t.Context())
	if err != nil || run == nil {
		t.Fatal(err)
	}
	finish(t, run)
	if own, _ := os.ReadFile(filepath.Join(b.target, "config.txt")); string(own) != "echo unverified\n" {
		t.Errorf("the stick has %q", own)
	}
}

// TestPayloadUncoveredBeforeTheShell: nothing is executed when a copy is not
// where it was bound.
func TestPayloadUncoveredBeforeTheShell(t *testing.T) {
	b := newBench(t)
	p := b.lying(t, map[string]string{"config.txt": "verified\n"})
	run, err := b.prepare(Request{ID: "one", Name: ScriptName, Target: b.target, Payload: p}, []byte("echo ran"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(filepath.Join(b.target, "config.txt"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if run.life, err = startSession(run.dir); err != nil {
		t.Fatal(err)
	}
	if _, err = run.Wait(t.Context()); !errors.Is(err, ErrNotStarted) || b.text() != "" {
		t.Errorf("%v, output %q", err, b.text())
	}
	run.Release()
}

// TestPayloadIsNotBoundElsewhere: whatever the stick has become by the time of
// the bind, no copy lands outside of it, and none over something else.
func TestPayloadIsNotBoundElsewhere(t *testing.T) {
	b := newBench(t)
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "config.txt"), "outside\n")
	for what, spoil := range map[string]func(folder string) error{
		"folder link": func(f string) error { return errors.Join(os.RemoveAll(f), os.Symlink(outside, f)) },
		"link": func(f string) error {
			name := filepath.Join(f, "config.txt")
			return errors.Join(os.Remove(name), os.Symlink(filepath.Join(outside, "config.txt"), name))
		},
		"gone": os.RemoveAll,
		"a folder": func(f string) error {
			return errors.Join(os.Remove(filepath.Join(f, "config.txt")), os.Mkdir(filepath.Join(f, "config.txt"), 0o755))
		},
		"another mount": func(f string) error { return unix.Mount(outside, f, "", unix.MS_BIND, "") },
	} {
		folder := filepath.Join(b.target, "sub")
		p := b.lying(t, map[string]string{"sub/config.txt": "verified\n"})
		if err := spoil(folder); err != nil {
			t.Fatal(what, err)
		}
		_, err := b.start(t.Context(), Request{ID: "one", Name: ScriptName, Target: b.target, Payload: p}, []byte("echo ran"))
		if !errors.Is(err, ErrNotStarted) || b.text() != "" {
			t.Errorf("%s: %v, output %q", what, err, b.text())
		}
		if left, _ := b.runs(); len(left) != 0 {
			t.Errorf("%s: left behind: %v", what, left)
		}
		p.Close()
		nameless(t, p.memory, p.disk)
		unix.Unmount(folder, unix.MNT_DETACH)
		os.RemoveAll(folder)
	}
	if own, _ := os.ReadFile(filepath.Join(outside, "config.txt")); string(own) != "outside\n" {
		t.Errorf("outside there is %q", own)
	}
}

func TestPayloadIsCompared(t *testing.T) {
	b := newBench(t)
	good := strings.Repeat("x", 100)
	for what, c := range map[string]struct {
		content string
		want    error
	}{
		"swapped": {strings.Repeat("y", 100), ErrNotVouched}, "short": {good[1:], staging.ErrChanged}, "empty": {"", staging.ErrChanged},
		"longer": {good + "behind it", nil}, // the copy has what was signed, and no more
	} {
		p, err := NewPayload(b.runDir, t.TempDir(), []File{vouch("f", good)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(t.Context(), vouch("f", good), strings.NewReader(c.content), false); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		p.Close()
		nameless(t, p.memory, p.disk)
	}
}

// TestPayloadSpace: a copy that does not fit is refused before a byte is read,
// in memory (MemoryReserve) and in the staging directory (staging.Reserve).
func TestPayloadSpace(t *testing.T) {
	b := newBench(t)
	disk := filepath.Join(t.TempDir(), "staging")
	if _, err := NewPayload(b.runDir, disk, []File{{Path: "f", Size: MaxFileSize}}); !errors.Is(err, staging.ErrNoSpace) {
		t.Errorf("1 TiB: %v", err)
	}
	for size, want := range map[string]error{"18m": staging.ErrNoSpace, "40m": nil} {
		if err := unix.Mount("", b.runDir, "", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
		var files []File
		for range MaxSmallTotal / MaxSmallFile {
			files = append(files, File{Size: MaxSmallFile})
		}
		if _, err := NewPayload(b.runDir, disk, files); !errors.Is(err, want) {
			t.Errorf("/run of %s: %v, want %v", size, err, want)
		}
	}
}

// TestPayloadPlaces has MaxSmallFile and MaxSmallTotal.
func TestPayloadPlaces(t *testing.T) {
	b := newBench(t)
	sizes := []int64{MaxSmallFile + 1, MaxSmallFile, MaxSmallFile, MaxSmallFile, MaxSmallFile, 1}
	want := []bool{false, true, true, true, true, false}
	var files []File
	for _, size := range sizes {
		files = append(files, File{Size: size})
	}
	p, err := NewPayload(b.runDir, filepath.Join(t.TempDir(), "staging"), files)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if p.inMemory[i] != want[i] {
			t.Errorf("file %d of %d bytes: in memory %v", i, sizes[i], p.inMemory[i])
		}
	}
}

// TestPayloadWithoutTmpfile: where files cannot be made without a name
// (ntfs-3g here), the name goes when the copy is bound, and CleanPayload takes
// it away when the agent dies before that.
func TestPayloadWithoutTmpfile(t *testing.T) {
	b := newBench(t)
	image, disk := filepath.Join(t.TempDir(), "ntfs.img"), t.TempDir()
	if err := os.WriteFile(image, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(need.Tool(t, "mkntfs"), "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(need.Tool(t, "ntfs-3g"), image, disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	if fd, err := unix.Open(disk, unix.O_TMPFILE|unix.O_RDWR, 0o600); err == nil {
		unix.Close(fd)
		t.Fatal("ntfs-3g makes files without a name now: this test proves nothing")
	}
	writeFile(t, filepath.Join(b.target, "config.txt"), "unverified\n")
	p := &Payload{disk: disk, inMemory: []bool{false, false}}
	for range 2 {
		if err := p.Add(t.Context(), vouch("config.txt", "verified\n"), strings.NewReader("verified\n"), false); err != nil {
			t.Fatal(err)
		}
	}
	left := p.copies[1]
	p.copies = p.copies[:1]
	got, _ := b.run(t, "cat config.txt; ls "+disk+" | wc -l", func(q *Request) { q.Payload = p })
	if strings.ReplaceAll(got, " ", "") != "verified\n1" {
		t.Errorf("output: %s", got)
	}
	p.Close()
	left.file.Close()
	if err := CleanPayload(b.runDir, disk); err != nil {
		t.Error(err)
	}
	nameless(t, disk)
}

// TestRecordOfPayload: a record that leads elsewhere is no record.
func TestRecordOfPayload(t *testing.T) {
	b := newBench(t)
	dir, err := makeDir(b.runDir, "one", []byte("echo"))
	if err != nil {
		t.Fatal(err)
	}
	r := record{ID: "one", Kind: "session", Target: b.target, Name: ScriptName}
	for range MaxFiles {
		r.Payload = append(r.Payload, bound{Path: strings.Repeat("<", MaxFilePath)})
	}
	write := func() error {
		if err := writeJSON(filepath.Join(dir, recordFile), r); err != nil {
			t.Fatal(err)
		}
		_, err := readRecord(dir)
		return err
	}
	if err := write(); err != nil {
		t.Errorf("the longest record: %v", err)
	}
	for what, payload := range map[string][]bound{
		"too many": append(r.Payload, bound{Path: "x"}), "elsewhere": {{Path: "../x"}}, "absolute": {{Path: "/etc/passwd"}},
	} {
		if r.Payload = payload; write() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
