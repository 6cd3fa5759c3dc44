// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gadgetModules make one USB device of several functions inside the board, and
// the board's driver for keyboards, which Debian's /usr here does without.
var gadgetModules = []string{"dummy_hcd", "usb_f_mass_storage", "usb_f_hid", "hid-generic", "usbhid"}

// keyboardReport describes the keyboard of the HID specification, appendix
// E.6, cut to its eight keys without the lamps.
var keyboardReport = []byte{
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01,
	0x75, 0x01, 0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x06, 0x75, 0x08,
	0x15, 0x00, 0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
}

// makeGadget has a USB device ready in /run/gadget/new, with nothing behind
// its functions yet; it is plugged by writing the controller's name to UDC.
const makeGadget = `set -e
mkdir -p /run/gadget
cp /media/GADGET/* /run/gadget/
for m in $(cat /run/gadget/order); do
	grep -q "^${m%.ko} " /proc/modules || insmod /run/gadget/$m
done
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
mkdir /sys/kernel/config/usb_gadget/stick
cd /sys/kernel/config/usb_gadget/stick
echo 0x1d6b >idVendor; echo 0x0104 >idProduct
mkdir strings/0x409 configs/c.1 functions/mass_storage.0 functions/hid.0
echo 1 >functions/mass_storage.0/lun.0/removable
cd functions/hid.0
echo 1 >protocol; echo 1 >subclass; echo 8 >report_length
cat /run/gadget/report >report_desc`

const gadget = "/sys/kernel/config/usb_gadget/stick"

// gadgets loads what makes USB devices, from a stick: no board has it, and the
// base system stays what all other tests and figures have.
func (r *rig) gadgets(images map[string]string) {
	r.t.Helper()
	kernel, err := kernelLayer(r.cache, "armhf", "armmp")
	if err != nil {
		r.t.Fatal(err)
	}
	release, err := os.ReadFile(filepath.Join(kernel, "release"))
	if err != nil {
		r.t.Fatal(err)
	}
	modules, err := readModules(filepath.Join(kernel, "root"), string(release))
	if err != nil {
		r.t.Fatal(err)
	}
	loaded, err := modules.bootModules(gadgetModules...)
	if err != nil {
		r.t.Fatal(err)
	}
	files := []File{{Name: "report", Data: keyboardReport}}
	for _, f := range loaded {
		files = append(files, File{Name: filepath.Base(f.name), Data: f.data})
	}
	for name, lines := range images {
		path := filepath.Join(r.dir, name)
		fs := FileSystem{Type: "fat12", Label: "BOTH", Files: script(r.t, r.signer, lines+"\n"+effect)}
		if err := fs.Write(path); err != nil {
			r.t.Fatal(err)
		}
		files = append(files, File{Name: name, Path: path})
	}
	stick := r.plain("fat32", "GADGET", files...)
	r.through(stick, "mount done")
	r.sh(makeGadget)
	r.pull(stick)
}

// plugGadget plugs a device with that medium, and the keyboard in that one of
// its two configurations, of which the kernel chooses the first, and sees it
// through like a stick.
func (r *rig) plugGadget(image, keyboard string, want ...string) StickResult {
	r.t.Helper()
	line := "set -e; cd " + gadget + "; echo /run/gadget/" + image + " >functions/mass_storage.0/lun.0/file; ln -s functions/mass_storage.0 configs/c.1/; "
	if keyboard != "" {
		line += "mkdir -p configs/" + keyboard + "; ln -s functions/hid.0 configs/" + keyboard + "/; "
	}
	since, plugged := r.ConsoleSize(), time.Now()
	r.sh(line + "echo dummy_udc.0 >UDC")
	return r.seen(since, plugged, want...)
}

// pullGadget pulls it and waits until nothing of it is left.
func (r *rig) pullGadget() {
	r.t.Helper()
	r.sh("cd " + gadget + "; echo >UDC; rm configs/c.*/*.0; [ ! -d configs/c.2 ] || rmdir configs/c.2; echo >functions/mass_storage.0/lun.0/file")
	r.clean()
}

// keyboards are what the kernel takes keys from.
func (r *rig) keyboards() string {
	return r.sh("grep -B5 'Handlers=.*kbd' /proc/bus/input/devices | grep -c 'Bus=0003'; true")
}

// TestBoardStorageAndKeyboard has one USB device be storage and keyboard: the
// agent as it is installed refuses it, and says so, wherever the keyboard is;
// the same without it is served; and so is all of it where the owner allows
// that.
func TestBoardStorageAndKeyboard(t *testing.T) {
	parallel(t)
	r := running(t)
	r.gadgets(map[string]string{"first.img": "# first", "second.img": "# second"})
	for _, c := range []struct{ name, configuration, keyboards string }{
		{"storage and keyboard in one", "c.1", "1"},
		{"a keyboard that the kernel has not come to", "c.2", "0"},
	} {
		r.refusesGadget(c.configuration)
		if got := r.keyboards(); got != c.keyboards {
			t.Errorf("%s: the kernel has %s, so this shows nothing:\n%s", c.name, got, r.file("/proc/bus/input/devices"))
		}
		r.pullGadget()
		r.next(c.name)
	}

	before := r.runs()
	served := r.plugGadget("first.img", "", "mount done", "autorun done")
	if served.Code != 0 || served.Mountpoint != "/media/BOTH" || r.runs() != before+1 || r.keyboards() != "0" {
		t.Errorf("storage alone: %s, %d runs", served, r.runs()-before)
	}
	r.pullGadget()
	r.next("storage alone")

	r.sh("mkdir -p /etc/usbagent")
	r.put(configPath, "[devices]\nstorage_only = false\n")
	r.sh("systemctl restart usbagent")
	before = r.runs()
	served = r.plugGadget("second.img", "c.1", "mount done", "autorun done")
	if served.Code != 0 || r.runs() != before+1 || r.keyboards() != "1" {
		t.Errorf("devices.storage_only = false: %s, %d runs", served, r.runs()-before)
	}
	r.pullGadget()
	r.next("storage and keyboard that were allowed")
}

// refusesGadget plugs storage and keyboard: status.json and journal say why it
// is refused, the LED that it is, and nothing of it is mounted or run.
func (r *rig) refusesGadget(configuration string) {
	r.t.Helper()
	since, before := r.ConsoleSize(), r.runs()
	refused := r.plugGadget("first.img", configuration, "mount failed")
	const why = "the USB device is more than storage (it has an interface of class 03)"
	if refused.Code != 2 || refused.Mountpoint != "" || !strings.Contains(refused.Steps[0].Reason, why) {
		r.t.Errorf("storage and keyboard: %s", refused)
	}
	r.journal(since, why, soon)
	if r.mounts() != 0 || r.runs() != before || r.sh("ls -A /media") != "" {
		r.t.Errorf("%d mounts, %d runs", r.mounts(), r.runs()-before)
	}
}
