// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/signature"
)

// read searches the volumes and takes the pairs in, each file once.
func (a *Agent) read(s *stick) error {
	for _, v := range s.volumes {
		if !v.searched {
			if err := a.search(s, v, ReadTotal); err != nil {
				return err
			}
		}
		if o := take(s.ctx, v, StepKeyring, signature.MaxKeyringSize, nil); o != nil {
			s.offers = append(s.offers, o)
		}
		if o := take(s.ctx, v, StepAutorun, a.rules.MaxScriptSize, a.scripts); o != nil {
			s.offers = append(s.offers, o)
		}
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
	}
	sort.SliceStable(s.offers, func(i, j int) bool { return rank(s.offers[i]) < rank(s.offers[j]) })
	return nil
}

// search lists the root directory of v, and has the kernel begin to read what
// will be wanted of it.
func (a *Agent) search(s *stick, v *volume, limit time.Duration) error {
	var names found
	err := a.abandonable(s, limit, func(func()) error {
		searched, err := v.search()
		if names = searched; err == nil {
			v.expect(searched)
		}
		return err
	})
	if err == nil {
		v.found, v.searched = names, true
	}
	return err
}

// lookAhead is search for a volume that was mounted just now: the stick is at
// work then while the agent tells what it found. Where that takes longer, or
// fails, it is done again and told when its turn comes.
func (a *Agent) lookAhead(s *stick, v *volume) { _ = a.search(s, v, LookAhead) }

// greetBus connects to who will be asked for the images of s.
func (a *Agent) greetBus(s *stick) {
	if !s.atBoot && a.mayInstall(s) {
		ctx, cancel := s.within(context.Background())
		go func() {
			defer cancel()
			a.Machine.Greet(ctx)
		}()
	}
}

// readAhead is how many bytes of each file the kernel is asked for in advance.
const readAhead = 128 << 10

// expect has the kernel begin to read what will be read, all of it at once: one
// by one, each file is a round trip to the stick.
func (v *volume) expect(names found) {
	for _, p := range []pair{names.keyring, names.script} {
		if p.file == "" || p.signature == "" {
			continue
		}
		for _, name := range []string{p.signature, p.file} {
			if f, err := v.open(name); err == nil { // else it is told when it is read
				unix.Fadvise(int(f.Fd()), 0, readAhead, unix.FADV_WILLNEED)
				f.Close()
			}
		}
	}
}

// rank orders the offers: the keyrings of all file systems before any script.
func rank(o *offer) int {
	if o.step == StepKeyring {
		return 0
	}
	return 1
}
