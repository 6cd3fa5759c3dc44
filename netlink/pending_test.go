// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
)

func take(t *testing.T, p *pending) Hint {
	t.Helper()
	h, some, err := p.take()
	if !some || err != nil {
		t.Fatalf("nothing to take: %v", err)
	}
	return h
}

func TestPendingKeepsEachNameOnce(t *testing.T) {
	p := pending{ready: make(chan struct{}, 1)}
	for range 3 {
		p.add("sdb", 0)
		p.add("sda", 0)
	}
	h := take(t, &p)
	if h.Lost || !slices.Equal(h.Disks, []string{"sdb", "sda"}) || h.First.IsZero() {
		t.Errorf("%+v", h)
	}
	if h, some, _ := p.take(); some {
		t.Errorf("taken twice: %+v", h)
	}
	if c := p.counted(); c.Block != 6 {
		t.Errorf("%+v", c)
	}
}

// TestPendingIsBounded: one name more than MaxPending is a loss.
func TestPendingIsBounded(t *testing.T) {
	p := pending{ready: make(chan struct{}, 1)}
	for n := range MaxPending {
		p.add(fmt.Sprint("sd", n), 0)
	}
	if p.hint.Lost || len(p.hint.Disks) != MaxPending {
		t.Errorf("%v, %d names", p.hint.Lost, len(p.hint.Disks))
	}
	for n := range 100_000 {
		p.add(fmt.Sprint("more", n), 0)
	}
	h := take(t, &p)
	if !h.Lost || h.Disks != nil {
		t.Errorf("%v, %d names", h.Lost, len(h.Disks))
	}
	p.add("sda", 0)
	if h := take(t, &p); h.Lost || len(h.Disks) != 1 {
		t.Errorf("after the loss: %+v", h)
	}
}

func TestPendingEnds(t *testing.T) {
	p := pending{ready: make(chan struct{}, 1)}
	end := errors.New("the end")
	p.add("sda", 0)
	p.lose()
	p.end(end)
	if h := take(t, &p); !h.Lost {
		t.Errorf("%+v", h)
	}
	for range 2 {
		if _, some, err := p.take(); some || err != end {
			t.Errorf("%v %v", some, err)
		}
		select {
		case <-p.ready:
		default:
			t.Error("the next Next would wait for ever")
		}
	}
}

// TestPendingAnnouncements: what came first decides; a loss forgets all.
func TestPendingAnnouncements(t *testing.T) {
	p := pending{ready: make(chan struct{}, 1)}
	p.add("sda", 3)
	p.add("sda", 0) // its partition's
	p.add("sdb", 0) // a change, or the remove of the disk that had the name
	p.add("sdb", 4)
	if h := take(t, &p); !maps.Equal(h.Announced, map[string]uint64{"sda": 3}) {
		t.Errorf("%+v", h)
	}
	p.add("sda", 0)
	if h := take(t, &p); h.Announced != nil {
		t.Errorf("%+v", h)
	}
	p.add("sda", 5)
	p.lose()
	if h := take(t, &p); h.Announced != nil || !h.Lost {
		t.Errorf("%+v", h)
	}
	for n := range uint64(MaxPending + 1) {
		p.add(fmt.Sprint("sd", n), n+1)
	}
	if h := take(t, &p); h.Announced != nil || !h.Lost {
		t.Errorf("%+v", h)
	}
}
