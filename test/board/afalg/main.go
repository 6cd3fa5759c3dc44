// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command afalg has the kernel hash a file (Documentation/crypto/userspace-if.rst),
// to find out what that costs: "afalg sha256 send FILE" gives it the bytes from
// memory, as the agent would have to, "splice" has them go past the program.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// chunk is how much is sent at once, in bytes: what the kernel takes.
const chunk = 64 << 10

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "afalg:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: afalg ALGORITHM send|splice FILE")
	}
	fd, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrALG{Type: "hash", Name: args[0]}); err != nil {
		return err
	}
	one, _, errno := unix.Syscall(unix.SYS_ACCEPT4, uintptr(fd), 0, 0)
	if errno != 0 {
		return errno
	}
	f, err := os.Open(args[2])
	if err != nil {
		return err
	}
	defer f.Close()
	if args[1] == "splice" {
		err = splice(int(one), f)
	} else {
		err = send(int(one), args[2])
	}
	if err != nil {
		return err
	}
	sum := make([]byte, 64)
	n, err := unix.Read(int(one), sum)
	if err != nil {
		return err
	}
	fmt.Println(strings.ToLower(fmt.Sprintf("%x", sum[:n])))
	return nil
}

func splice(to int, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for left := info.Size(); left > 0; {
		n, err := unix.Sendfile(to, int(f.Fd()), nil, int(min(left, 1<<20)))
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func send(to int, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := unix.SendmsgN(to, content[:n], nil, nil, unix.MSG_MORE); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}
