// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ControlPath is the socket through which "make plug" reaches the board that
// "make board" runs.
func ControlPath(c *Cache) string { return filepath.Join(c.root, "control") }

// Interactive runs a board with its console on this terminal until it is shut
// down: resumed with the agent idle or, if cold, booted from a new card.
func Interactive(c *Cache, cold bool) error {
	fw, err := BuildFirmware(c)
	if err != nil {
		return err
	}
	agent, err := BuildAgent(c, "arm")
	if err != nil {
		return err
	}
	foreground := func(b *Board) { b.foreground = true }
	var b *Board
	if cold {
		var card string
		if card, err = NewCard(c, fw, agent); err == nil {
			b, err = Boot(fw, card, foreground)
		}
	} else {
		var s Snapshot
		if s, err = Running(c, fw, agent); err == nil {
			b, err = Resume(fw, s, foreground)
		}
	}
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Fprintf(os.Stderr, "\r\nThe board runs; press Enter for its shell. Plug a stick from another terminal:\r\n"+
		"    make plug DIR=directory     (again without DIR: pull it)\r\n"+
		"It trusts what openssl signs with -signer %s -inkey %s.\r\n"+
		"\"poweroff\" or Ctrl-a x ends it. The yellow LED is shown as it changes.\r\n\r\n", fw.PKI.Vendor.Cert, fw.PKI.Vendor.Key)
	listener, err := control(c, b)
	if err != nil {
		return err
	}
	defer listener.Close()
	go showLED(b)
	<-b.Off()
	return nil
}

// showLED prints what the LED shows whenever that changes.
func showLED(b *Board) {
	shown := ""
	for {
		select {
		case <-b.Off():
			return
		case <-time.After(500 * time.Millisecond):
		}
		if now := b.LED.Pattern(); now != shown && now != "changing" {
			shown = now
			fmt.Fprintf(os.Stderr, "\r\n[yellow LED: %s]\r\n", now)
		}
	}
}

// control listens for "plug DIR" and "pull".
func control(c *Cache, b *Board) (net.Listener, error) {
	os.Remove(ControlPath(c))
	listener, err := net.Listen("unix", ControlPath(c))
	if err != nil {
		return nil, err
	}
	go func() {
		var in *Stick
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			if in != nil {
				err = b.Pull(in)
				in = nil
			}
			if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "plug "); ok && err == nil {
				in, err = stickOf(dir, filepath.Join(b.dir, fmt.Sprintf("plug%d.img", n)))
				if err == nil {
					_, err = b.Plug(in)
				}
			}
			if err != nil {
				fmt.Fprintln(conn, err)
			}
			conn.Close()
		}
	}()
	return listener, nil
}

// stickOf makes a FAT32 stick with everything in dir.
func stickOf(dir, image string) (*Stick, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	fs := FileSystem{Type: "fat32", Label: "STICK"}
	for _, e := range entries {
		fs.Files = append(fs.Files, File{Name: e.Name(), Path: filepath.Join(dir, e.Name())})
	}
	if err := WriteStick(image, "mbr", Part{FileSystem: fs}); err != nil {
		return nil, err
	}
	return NewStick(image), nil
}

// Plug asks the running interactive board to take a stick made of dir; an
// empty dir pulls the one that is in.
func Plug(c *Cache, dir string) error {
	conn, err := net.Dial("unix", ControlPath(c))
	if err != nil {
		return fmt.Errorf("no board runs here (make board): %w", err)
	}
	defer conn.Close()
	line := "pull"
	if dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		line = "plug " + dir
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	if answer != "" {
		return fmt.Errorf("%s: %s", line, strings.TrimSpace(answer))
	}
	return nil
}
