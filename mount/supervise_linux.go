// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limits of the ntfs-3g process.
const (
	MaxHelperMemory = 192 << 20 // address space, bytes
	MaxHelperFiles  = 32        // open files
	maxHelperCalls  = 64        // trapped system calls until it is mounted
)

// notification is struct seccomp_notif, reply struct seccomp_notif_resp
// (linux/seccomp.h).
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type reply struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// supervise answers the system calls that the filter of process pid traps,
// until its mount is made, and returns that mount's root.
//
// There are two: execve, let through once, when the process is seen to be
// confined; and mount, which is not let through but done here, on the
// process's /dev/fuse descriptor, with our source, type and flags. So the
// process needs no capability at all, and its arguments decide nothing.
func supervise(listener *os.File, pid int, d Device) (root *os.File, err error) {
	defer func() {
		if err != nil && root != nil {
			root.Close()
			root = nil
		}
	}()
	limited, running := false, false
	for range maxHelperCalls {
		n, err := receive(listener)
		if err != nil {
			return root, err
		}
		r := reply{id: n.id}
		switch {
		case n.nr == unix.SYS_EXECVE && !running:
			if !limited {
				if err := limit(int(n.pid)); err != nil {
					return nil, err
				}
			}
			limited, r.flags = true, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		case n.nr == unix.SYS_MOUNT && running:
			if root == nil {
				if root, err = fuseTree(pid, d); err != nil {
					return nil, err
				}
			}
		default:
			r.error = -int32(unix.EPERM)
		}
		err = answer(listener, r)
		switch {
		case errors.Is(err, unix.ENOENT): // a signal came first: it asks again
		case err != nil:
			return root, err
		case n.nr == unix.SYS_MOUNT && root != nil:
			return root, nil
		default:
			running = limited
		}
	}
	return root, fmt.Errorf("more than %d trapped system calls", maxHelperCalls)
}

// receive waits for the next trapped call. An error when the process is gone.
func receive(listener *os.File) (notification, error) {
	fds := []unix.PollFd{{Fd: int32(listener.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return notification{}, err
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return notification{}, errors.New("it ended before it had mounted anything")
		}
		var n notification
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR, unix.ENOENT: // killed while it waited
			continue
		default:
			return n, errno
		}
	}
}

// answer replies; ENOENT where the call was interrupted meanwhile.
func answer(listener *os.File, r reply) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	if errno != 0 {
		return errno
	}
	return nil
}

// limit checks that the thread which asks for exec has given everything up (the
// others of its process end with exec), and sets the limits: from here, since
// Go's own address space would not fit into them.
func limit(thread int) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return err
	}
	for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), "\n"+want+"\n") {
			return fmt.Errorf("it is not confined: no %q in its status", want)
		}
	}
	for resource, most := range map[int]uint64{
		unix.RLIMIT_AS: MaxHelperMemory, unix.RLIMIT_NOFILE: MaxHelperFiles,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_MEMLOCK: 0, unix.RLIMIT_MSGQUEUE: 0,
	} {
		if err := unix.Prlimit(thread, resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	return nil
}

// fuseTree mounts d as fuseblk, served by process pid, attached nowhere yet.
func fuseTree(pid int, d Device) (*os.File, error) {
	fuse, err := fuseOf(pid)
	if err != nil {
		return nil, err
	}
	defer fuse.Close()
	root, err := kernelTree(d, attempt{"fuseblk", []option{
		{"fd", strconv.Itoa(int(fuse.Fd()))}, {"rootmode", "40000"}, {"user_id", "0"}, {"group_id", "0"},
		{"blksize", "4096"}, {"default_permissions", ""}, {"allow_other", ""},
	}})
	if err == nil && !connected(fuse) {
		root.Close()
		return nil, fmt.Errorf("%w, by another ntfs-3g", ErrMounted)
	}
	return root, err
}

// connected reports whether a mount uses the descriptor of /dev/fuse. Where
// the device is mounted already, even in a mount namespace that we do not see,
// the kernel gives out that mount's file system and leaves ours unused; poll
// says so (fs/fuse/dev.c, fuse_dev_poll).
func connected(fuse *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(fuse.Fd()), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLERR == 0
}

// fuseDevice is the number of /dev/fuse (Documentation/admin-guide/devices.txt).
var fuseDevice = unix.Mkdev(10, 229)

// fuseOf returns a duplicate of the descriptor of /dev/fuse that process pid
// has open.
func fuseOf(pid int) (*os.File, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process: %w", err)
	}
	defer unix.Close(process)
	for theirs := range MaxHelperFiles {
		fd, err := unix.PidfdGetfd(process, theirs, 0)
		if errors.Is(err, unix.EBADF) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("take its descriptor: %w", err)
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == fuseDevice {
			return os.NewFile(uintptr(fd), "/dev/fuse"), nil
		}
		unix.Close(fd)
	}
	return nil, errors.New("it asked for a mount without /dev/fuse")
}

// receiveFile takes one descriptor from a socket.
func receiveFile(link *os.File) (*os.File, error) {
	data, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(int(link.Fd()), data, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("it ended")
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, errors.New("it sent no descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("it sent no descriptor")
	}
	return os.NewFile(uintptr(fds[0]), "listener"), nil
}
