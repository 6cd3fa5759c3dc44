// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Descriptors as they come from a device: two whole ones, and interfaces.
var (
	aDevice        = string([]byte{18, 1, 0, 2, 0, 0, 0, 64, 0x6b, 0x1d, 4, 1, 0, 1, 1, 2, 3, 1})
	aConfiguration = string([]byte{9, 2, 32, 0, 1, 1, 0, 0x80, 50})
	anEndpoint     = string([]byte{7, 5, 0x81, 2, 0, 2, 0})
	aHID           = string([]byte{9, 0x21, 0x11, 1, 0, 1, 0x22, 4, 0})
)

func anInterface(number, class byte) string {
	return string([]byte{9, 4, number, 0, 1, class, 6, 0x50, 0})
}

// TestDeclared: what a device declares counts, before the kernel has come to
// it, in whatever configuration it hides.
func TestDeclared(t *testing.T) {
	storage, keyboard := anInterface(0, 8)+anEndpoint, anInterface(1, 3)+aHID+anEndpoint
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a stick":                           {aDevice + aConfiguration + storage, []string{"08"}},
		"two settings":                      {aDevice + aConfiguration + storage + storage, []string{"08"}},
		"storage and keyboard":              {aDevice + aConfiguration + storage + keyboard, []string{"03", "08"}},
		"keyboard first":                    {aDevice + aConfiguration + keyboard + storage, []string{"03", "08"}},
		"keyboard in another configuration": {aDevice + aConfiguration + storage + aConfiguration + keyboard, []string{"03", "08"}},
		"a length that is a lie":            {aDevice + strings.Replace(aConfiguration, " ", "\x09", 1) + storage + keyboard, []string{"03", "08"}},
		"more of a kind nobody knows":       {aDevice + aConfiguration + "\x05\xffabc" + storage + "\x02\xff" + keyboard, []string{"03", "08"}},
		"an interface without a class":      {aDevice + aConfiguration + "\x05\x04abc" + storage, []string{"08"}},
		"cut within an interface":           {aDevice + aConfiguration + storage + keyboard[:6], []string{"08"}},
		"a descriptor of no length":         {aDevice + aConfiguration + storage + "\x00\x04" + keyboard, []string{"08"}},
		"a device that declares nothing":    {aDevice, nil},
		"nothing":                           {"", nil},
		"the device's descriptor cut short": {aDevice[:10], nil},
		"vendor's own":                      {aDevice + aConfiguration + storage + anInterface(1, 0xff), []string{"08", "ff"}},
		"as long as they may be":            {aDevice + aConfiguration + storage + strings.Repeat("\x02\xff", (MaxDescriptors-len(aDevice+aConfiguration+storage))/2), []string{"08"}},
	} {
		if got := declaredClasses([]byte(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	root := plant(t, "usb")
	d, _ := refresh(t, root, "sdb", BusUSB)
	file := strings.TrimSuffix(at(t, root, "sdb"), "/1-1.1:1.0/host1/target1:0:0/1:0:0:0/block/sdb") + "/descriptors"
	look := func(d Disk) ([]string, error) { return Declared(root, d) }
	os.Remove(file)
	if got, err := look(d); got != nil || err != nil {
		t.Errorf("a kernel that does not show them: %q, %v", got, err)
	}
	put(t, file, aDevice+aConfiguration+storage+keyboard)
	if got, err := look(d); err != nil || !slices.Equal(got, []string{"03", "08"}) || !slices.Equal(d.Interfaces, []string{"08"}) {
		t.Errorf("the kernel shows %q, the device declares %q, %v", d.Interfaces, got, err)
	}
	other, _ := refresh(t, root, "sdc", BusUSB)
	if got, _ := look(other); slices.Contains(got, "03") {
		t.Errorf("sdc, on the same hub: %q", got)
	}
	put(t, file, aDevice+strings.Repeat("\x02\xff", MaxDescriptors/2))
	if _, err := look(d); err == nil || !strings.Contains(err.Error(), "more than 524298 bytes") {
		t.Errorf("more than there can be: %v", err)
	}
	d.Bus = BusLoop
	if got, err := look(d); got != nil || err != nil {
		t.Errorf("a loop device: %q, %v", got, err)
	}
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	d, d.DevPath = Disk{Bus: BusUSB}, "/devices/gone/block/sdb"
	if got, err := look(d); got != nil || err != nil {
		t.Errorf("a device that has gone: %q, %v", got, err)
	}
}

// FuzzDescriptors: whatever a device says, a keyboard after whole descriptors
// is seen, and nothing but classes comes of it.
func FuzzDescriptors(f *testing.F) {
	keyboard := anInterface(1, 3)
	for _, seed := range []string{"", aConfiguration + anInterface(0, 8) + anEndpoint, aHID + keyboard, "\x00", "\x01\x04", "\x06\x04abcd", "\xff\x04"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		classes := declaredClasses(append([]byte(aDevice), said...))
		for _, c := range classes {
			if len(c) != 2 {
				t.Errorf("%q", classes)
			}
		}
		if len(classes) > 256 || !slices.IsSorted(classes) {
			t.Errorf("%q", classes)
		}
		if got := declaredClasses([]byte(aDevice + aConfiguration + keyboard + string(said))); !slices.Contains(got, "03") {
			t.Errorf("the keyboard is not seen: %q", got)
		}
	})
}
