// SPDX-License-Identifier: GPL-3.0-or-later

// Package board emulates the charging station's control board in QEMU and lets
// tests plug USB sticks into it. BuildFirmware makes what the board consists
// of, Boot and Resume start one, Board's methods plug sticks, cut the power
// and look at the LED from outside; StickSpec in stick.go makes sticks
// without mounting anything.
//
// What is real: the kernel's USB, GPIO, LED, MMC and file system drivers on
// the i.MX6UL's registers, systemd, dbus, udev, RAUC with two slots, the
// agent's ARMv7 binary and its unit. What is not: QEMU's clock (a slow
// machine), the boot loader (bootLoader plays it), and the split of the root
// file system, where each slot's own files lie over a base system that both
// slots share, so that an installed image is small.
//
// Not for use outside tests: the board obeys whoever holds its sockets.
package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"usbagent/test/board/wire"
)

// Snapshot is a running board on disk: QEMU's state and the card as they were
// at that instant.
type Snapshot struct{ Dir string }

func (s Snapshot) ram() string  { return filepath.Join(s.Dir, "ram") }
func (s Snapshot) card() string { return filepath.Join(s.Dir, "card.img") }

// Start is one power-on or restart of the board.
type Start struct {
	Slot string // the boot loader's choice
	At   time.Time
}

// Board is one emulated board. It follows the guest's reboots as the boot
// loader does, with the sticks still in, until it is shut down or cut off.
type Board struct {
	firmware *Firmware
	dir      string
	card     string
	// LED is what the yellow LED did.
	LED *Trace
	// Log is told what happens to the board; never nil.
	Log func(format string, args ...any)

	args       []string // further arguments for QEMU
	cardDrive  string   // how QEMU opens the card; "" is the raw file
	foreground bool

	mu     sync.Mutex
	hold   bool // the guest's next reset is the end
	m      *machine
	starts []Start
	sticks []*Stick
	off    chan struct{} // closed when the board is off for good
	reason string
	failed error
}

// newBoard makes a directory of its own; its path must be short, because it
// holds sockets.
func newBoard(fw *Firmware) (*Board, error) {
	dir, err := os.MkdirTemp("", "board")
	if err != nil {
		return nil, err
	}
	b := &Board{
		firmware: fw, dir: dir, card: filepath.Join(dir, "card.img"),
		Log: func(string, ...any) {}, off: make(chan struct{}),
	}
	b.LED = &Trace{size: b.ConsoleSize}
	return b, nil
}

// Boot powers on a board with a copy of the card, with sticks in.
func Boot(fw *Firmware, card string, change func(*Board), sticks ...*Stick) (*Board, error) {
	b, err := newBoard(fw)
	if err != nil {
		return nil, err
	}
	if err := copySparse(b.card, card); err != nil {
		return nil, err
	}
	if change != nil {
		change(b)
	}
	b.sticks = sticks
	return b, b.begin("")
}

// Resume starts a board from a snapshot.
func Resume(fw *Firmware, s Snapshot, change func(*Board)) (*Board, error) {
	b, err := newBoard(fw)
	if err != nil {
		return nil, err
	}
	if err := copySparse(b.card, s.card()); err != nil {
		return nil, err
	}
	if change != nil {
		change(b)
	}
	return b, b.begin(s.ram())
}

// begin starts the first machine and the goroutine that follows reboots.
func (b *Board) begin(incoming string) error {
	if err := b.power(incoming); err != nil {
		return errors.Join(err, b.Close())
	}
	go b.follow()
	return nil
}

// power starts one QEMU: from a saved state, or as the boot loader decides.
func (b *Board) power(incoming string) error {
	slot := "A"
	if incoming == "" && b.firmware.bootLoader {
		var err error
		if slot, err = bootLoader(b.card); err != nil {
			return err
		}
	}
	console := "file,id=console,append=on,path=" + b.consolePath()
	if b.foreground {
		console = "stdio,id=console,mux=on,signal=off,logappend=on,logfile=" + b.consolePath()
	}
	program, args := b.firmware.command(b, slot, console)
	m, err := startMachine(b.dir, machineOptions{
		program: program, args: append(args, b.args...), incoming: incoming, paused: true, foreground: b.foreground,
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.m = m
	b.starts = append(b.starts, Start{slot, time.Now()})
	sticks := append([]*Stick(nil), b.sticks...)
	b.mu.Unlock()
	b.Log("board: slot %s starts, %d stick(s) in", slot, len(sticks))
	for _, s := range sticks {
		if err := s.attach(m, b.firmware.bus); err != nil {
			return err
		}
	}
	if b.firmware.ledRegister == 0 {
		return m.run()
	}
	go b.LED.watch(context.Background(), func() (bool, error) {
		word, err := m.led.word(b.firmware.ledRegister)
		return word&b.firmware.ledBit != 0, err
	})
	return m.run()
}

// drive is how QEMU opens the card.
func (b *Board) drive() string {
	if b.cardDrive != "" {
		return b.cardDrive
	}
	return "format=raw,file=" + b.card
}

// boardCommand starts the board from the slot, with the card and the base.
func boardCommand(b *Board, slot, console string) (string, []string) {
	root := map[string]string{"A": "/dev/mmcblk0p1", "B": "/dev/mmcblk0p2"}[slot]
	fw := b.firmware
	return "qemu-system-arm", []string{
		"-M", "mcimx6ul-evk", "-m", "512M", "-display", "none", "-monitor", "none",
		"-kernel", fw.Kernel, "-dtb", fw.DeviceTree, "-initrd", fw.Initramfs,
		"-append", "console=ttymxc0,115200 loglevel=6 panic=1 root=" + root + " rauc.slot=" + slot,
		"-drive", "if=sd,index=0," + b.drive(),
		"-drive", "if=sd,index=1,format=raw,snapshot=on,file=" + fw.Base,
		"-chardev", console, "-serial", "chardev:console", "-serial", "chardev:guest",
	}
}

// follow restarts the board at each reset of the guest's.
func (b *Board) follow() {
	defer close(b.off)
	for {
		m := b.machine()
		<-m.done
		reason := m.ended()
		b.Log("board: QEMU ended: %q", reason)
		b.mu.Lock()
		b.reason = reason
		hold := b.hold
		b.mu.Unlock()
		if reason != "guest-reset" || hold {
			return
		}
		if err := b.power(""); err != nil {
			b.mu.Lock()
			b.failed = err
			b.mu.Unlock()
			return
		}
	}
}

func (b *Board) machine() *machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m
}

// Starts lists every start of the board, oldest first.
func (b *Board) Starts() []Start {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Start(nil), b.starts...)
}

// AddArguments gives QEMU further arguments, such as "-icount"; only before the
// board starts, in the change of Boot or Resume. A snapshot comes back only with
// the arguments it was taken with.
func (b *Board) AddArguments(args ...string) { b.args = append(b.args, args...) }

// StayOff makes the board stay off at the guest's next reset.
func (b *Board) StayOff() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold = true
}

// Off is closed when the board is off for good.
func (b *Board) Off() <-chan struct{} { return b.off }

// PowerCut kills QEMU, waits for its end and returns the card.
func (b *Board) PowerCut() Card {
	b.mu.Lock()
	b.hold = true
	m := b.m
	b.mu.Unlock()
	if m != nil {
		m.kill()
		<-b.off
	}
	return Card{b.card}
}

// PowerOn starts a board again after PowerCut or a shutdown.
func (b *Board) PowerOn() error {
	<-b.off
	b.mu.Lock()
	b.hold, b.off = false, make(chan struct{})
	b.mu.Unlock()
	return b.begin("")
}

// Save writes a snapshot into dir and ends the board.
func (b *Board) Save(dir string) (Snapshot, error) {
	s := Snapshot{dir}
	if err := b.machine().save(s.ram()); err != nil {
		return s, err
	}
	b.PowerCut()
	return s, copySparse(s.card(), b.card)
}

// Close ends the board and removes its directory.
func (b *Board) Close() error {
	if b.machine() != nil {
		b.mu.Lock()
		b.hold = true
		m := b.m
		b.mu.Unlock()
		m.kill()
	}
	return os.RemoveAll(b.dir)
}

// Run runs a command in the board, without a shell, and returns its exit
// status and what it printed.
func (b *Board) Run(ctx context.Context, argv ...string) (int, string, error) {
	r, err := b.machine().guest.ask(ctx, wire.Request{Op: "exec", Argv: argv})
	return r.Status, string(r.Out), err
}

// Read returns a file of the board; the error is fs.ErrNotExist for none.
func (b *Board) Read(ctx context.Context, path string) ([]byte, error) {
	r, err := b.machine().guest.ask(ctx, wire.Request{Op: "read", Path: path})
	return r.Out, err
}

// List returns the names in a directory of the board as a JSON list.
func (b *Board) List(ctx context.Context, path string) (string, error) {
	r, err := b.machine().guest.ask(ctx, wire.Request{Op: "list", Path: path})
	return string(r.Out), err
}

// Write puts a small file into the board.
func (b *Board) Write(ctx context.Context, path string, data []byte, mode uint32) error {
	return b.machine().guest.write(ctx, path, data, mode)
}

func (b *Board) consolePath() string { return filepath.Join(b.dir, "console.log") }

// Console is what the board printed since it was made, every line of the
// journal included, from offset on.
func (b *Board) Console(offset int64) string {
	f, err := os.Open(b.consolePath())
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return ""
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

// ConsoleSize is the offset of what the console will print next.
func (b *Board) ConsoleSize() int64 {
	info, err := os.Stat(b.consolePath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// errOff is what waiting ends with when the board is off.
func (b *Board) errOff() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return b.failed
	}
	return fmt.Errorf("the board is off (%q)", b.reason)
}
