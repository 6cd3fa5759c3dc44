// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/test/liar"
	"usbagent/test/raucbench"
)

// lieRounds is how often a device is plugged in that returns other bytes the
// second time it is asked.
const lieRounds = 100

// lie is a file on a stick that the device exchanges once it was read.
type lie struct {
	name, genuine, forged string

	// It counts as read when the byte before this one was, 0: the last.
	end int
	// Where set, the device lies from then on, and not from the second reading.
	when func() bool
}

// blocks is a lie on the device: the blocks from the first to before the end.
type blocks struct {
	first, end int64
	forged     []byte
	timed      bool          // lies once it is late, and not from the second reading
	late       atomic.Bool   // what the lie waits for has come
	read       chan struct{} // the block that counts was read
	counts     int64
}

// plugLiar plugs a stick with these files in. Each block of the lies holds the
// genuine bytes the first time it is read and the forged ones, which must be as
// many, ever after. The page cache keeps none of them: what anybody reads a
// second time comes from the device again, until pull is called.
func (b *bench) plugLiar(label string, f files, lies ...lie) (device string, pull func()) {
	b.t.Helper()
	b.mkfs = []string{"-b", fmt.Sprint(liar.Block)} // no block of the device belongs to two files
	image := b.stick(label, f)
	honest := []byte(read(b.t, image))
	var told []*blocks
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	b.t.Cleanup(end)
	for _, l := range lies {
		at := bytes.Index(honest, []byte(l.genuine))
		if at < 0 || at%liar.Block != 0 || len(l.genuine) != len(l.forged) {
			b.t.Fatalf("%s: at %d in the image, %d bytes genuine and %d forged", l.name, at, len(l.genuine), len(l.forged))
		}
		last := at + cmp.Or(l.end, len(l.genuine)) - 1
		on := &blocks{
			first: int64(at), end: int64(at + len(l.genuine)), forged: []byte(l.forged), timed: l.when != nil,
			read: make(chan struct{}, 1), counts: int64(last) / liar.Block * liar.Block,
		}
		told = append(told, on)
		go func() {
			select {
			case <-on.read:
				for l.when != nil && !l.when() {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
				if l.when == nil { // within one pass it need not lie: a signature sees that
					time.Sleep(20 * time.Millisecond)
				}
				on.late.Store(true)
				evict(filepath.Join(b.dir, "media", label, l.name), stop)
			case <-stop:
			}
		}()
	}
	b.plugs++
	disk := liar.New(b.t, fmt.Sprintf("%s/liar-%d", b.dir, b.plugs), honest, func(at int64, n int, honest []byte) []byte {
		for _, l := range told {
			if at == l.counts {
				select {
				case l.read <- struct{}{}:
				default:
				}
			}
			if at >= l.first && at < l.end && (n > 0 && !l.timed || l.timed && l.late.Load()) {
				return l.forged[at-l.first:]
			}
		}
		return honest
	})
	device = b.attach(disk.Path)
	return device, func() { end(); b.pull(device); disk.Close() }
}

// evict drops what the page cache holds of the file under the name, again and again.
func evict(path string, stop <-chan struct{}) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		for i := 0; err == nil && i < 100; i++ {
			unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
			time.Sleep(200 * time.Microsecond)
		}
		if err == nil {
			unix.Close(fd)
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// verified holds from when the daemon says of a file of this name, from now on,
// that its signature is good.
func (b *bench) verified(name string) func() bool {
	log, from, said := filepath.Join(b.dir, "log"), int64(len(b.logText())), ""
	return func() bool {
		file, err := os.Open(log)
		if err != nil {
			return false
		}
		defer file.Close()
		more, _ := io.ReadAll(io.NewSectionReader(file, from, math.MaxInt64-from))
		from += int64(len(more))
		said += string(more)
		for line := range strings.Lines(said) {
			if strings.Contains(line, "signature is good") && strings.Contains(line, " file="+name+" ") {
				return true
			}
		}
		return false
	}
}

// seesForged reads a file of the stick until the device gives the forged
// bytes: this is what somebody would have got who had read it twice.
func (b *bench) seesForged(path, forged string) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && string(text) == forged {
			return true
		}
	}
	return false
}

// selfReaders are ways in which a script reads itself again. Each prints the
// word and the round from what it finds under its own name.
var selfReaders = []string{
	`[ "$1" ] || exec sh "$0" again`,
	`[ "$again" ] || { again=1; . ./autorun.sh; exit; }`,
	`[ "$1" ] || { tail -n+2 "$0" | sh -s again; exit; }`,
	`[ "$1" ] || { cp "$0" "$DIR/copy"; exec sh "$DIR/copy" again; }`,
	`[ "$1" ] || exec "$PWD/autorun.sh" again`,
	`:`, // a long one is read in pieces anyway
}

// selfReader is a script of round i in two versions of equal length.
func (b *bench) selfReader(i int) (genuine, forged string) {
	text := "#!/bin/sh\nDIR=" + b.dir + "; export DIR\n" + selfReaders[i%len(selfReaders)] + "\n" +
		strings.Repeat("# the shell reads a script piece by piece\n", 1000) +
		fmt.Sprintf("echo %s-%d >>%s/out\n", "genuine", i, b.dir)
	return text, strings.ReplaceAll(text, "genuine", "FORGED!")
}

// padded makes a PEM file one of size bytes, by blank lines.
func padded(text string, size int) string {
	return text + strings.Repeat("\n", size-len(text))
}

// TestDeviceThatLies: whatever the device returns when it is asked again, the
// script that runs, and what it reads under its own name, and the keyring that
// is installed, are the bytes that were verified.
func TestDeviceThatLies(t *testing.T) {
	b := newBench(t)
	b.start()
	owner, next := vendor, customer
	attacker, err := raucbench.NewPKI(filepath.Join(b.dir, "attacker"), "Attacker")
	b.must(err)
	forgedKeyring := padded(read(t, attacker.Keyring), 3*liar.Block)
	refused := 0
	for i := range lieRounds {
		keyring := lie{name: "fwupdate-keyring.pem", genuine: padded(read(t, next.Keyring), len(forgedKeyring)), forged: forgedKeyring}
		script := lie{name: "autorun.sh"}
		script.genuine, script.forged = b.selfReader(i)
		// By turns from when each was verified, which nothing may notice, and soon after
		// the first reading, which may be before that.
		exact := i%2 == 0
		if exact {
			keyring.when, script.when = b.verified(keyring.name), b.verified(script.name)
		}
		f := files{keyring.name: keyring.genuine, script.name: script.genuine}
		f.sign(b, keyring.name, owner).sign(b, script.name, next)
		before, ran := read(t, b.keyringPath()), b.out()
		device, pull := b.plugLiar("LIAR", f, keyring, script)
		s := b.done(device)
		if result, _ := step(s, "keyring"); result == "done" {
			owner, next, before = next, owner, keyring.genuine
		}
		if result, _ := step(s, "autorun"); result == "done" {
			ran += fmt.Sprintf("genuine-%d\n", i)
		}
		if s.Code != 0 {
			if refused++; exact {
				t.Fatalf("round %d: both files were verified, and then refused: %+v", i, s.Steps)
			}
		}
		if got := read(t, b.keyringPath()); got != before {
			t.Fatalf("round %d: the installed keyring is not the verified one: %q, %+v", i, got, s.Steps)
		}
		if b.out() != ran {
			t.Fatalf("round %d: the scripts wrote %q, want %q; %+v", i, b.out(), ran, s.Steps)
		}
		for _, l := range []lie{keyring, script} {
			if !b.seesForged(filepath.Join(s.Mountpoint, l.name), l.forged) {
				t.Fatalf("round %d: the device did not lie about %s: nothing was proven", i, l.name)
			}
		}
		pull()
	}
	t.Logf("%d of %d rounds were refused, since the device lied before the pass was over", refused, lieRounds)
}
