// SPDX-License-Identifier: GPL-3.0-or-later

package marks

import (
	"math"
	"strings"
	"testing"
)

// trace is what tracefs prints, cut short.
const trace = `# tracer: nop
#
# entries-in-buffer/entries-written: 16/16   #P:1
#
#                                _-----=> irqs-off/BH-disabled
          <idle>-0       [000] d..2.   100.000000: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=kworker/0:1 next_pid=9 next_prio=120
    kworker/0:1-9       [000] d....   100.000100: uevent: (kobject_uevent_env+0x0/0x5dc) action=0 name="target0:0:0"
    kworker/0:1-9       [000] d....   100.000200: uevent: (kobject_uevent_env+0x0/0x5dc) action=0 name="sda"
    kworker/0:1-9       [000] d..2.   100.001200: sched_switch: prev_comm=kworker/0:1 prev_pid=9 prev_prio=120 prev_state=S ==> next_comm=usbagent next_pid=70 next_prio=120
       usbagent-70      [000] .....   100.002200: gpio_value: 78 set 1
       usbagent-70      [000] .....   100.003200: gpio_value: 79 set 1
       usbagent-70      [000] d..2.   100.004200: sched_switch: prev_comm=usbagent prev_pid=70 prev_prio=120 prev_state=S ==> next_comm=guestd next_pid=60 next_prio=120
         guestd-60      [000] d..2.   100.009200: sched_switch: prev_comm=guestd prev_pid=60 prev_prio=120 prev_state=S ==> next_comm=usbagent next_pid=70 next_prio=120
       usbagent-70      [000] .....   100.010200: sys_move_mount -> 0x0
       usbagent-70      [000] .....   100.010300: task_newtask: pid=71 comm=usbagent clone_flags=d0f00 oom_score_adj=-500
       usbagent-70      [000] .....   100.010400: task_newtask: pid=72 comm=usbagent clone_flags=4100 oom_score_adj=-500
       usbagent-70      [000] .....   100.011200: rename: (do_renameat2+0x0/0x4f8) to="/etc/rauc/keyring.pem"
            rauc-90      [000] .....   100.012200: task_rename: pid=91 oldcomm=rauc newcomm=installer oom_score_adj=0
             sh-72      [000] .....   100.013200: tracing_mark_write: script
       usbagent-70      [000] .....   100.014200: gpio_value: 79 set 1
       usbagent-70      [000] .....   100.015200: gpio_value: 79 set 0
`

func TestRead(t *testing.T) {
	r, err := Read(strings.NewReader(trace))
	if err != nil || r.Lost {
		t.Fatal(err, r.Lost)
	}
	for name, want := range map[string]Mark{
		"led":     {0.003, 0.003, 0},
		"mounted": {0.010, 0.005, 0},
		"keyring": {0.011, 0.006, 1},
		"install": {0.012, 0.007, 1},
		"script":  {0.013, 0.008, 1},
		"done":    {0.015, 0.010, 1},
	} {
		got, ok := r.Marks[name]
		if !ok || math.Abs(got.At-want.At) > 1e-6 || math.Abs(got.CPU-want.CPU) > 1e-6 || got.Processes != want.Processes {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if math.Abs(r.Ran["guestd"]-0.005) > 1e-6 {
		t.Errorf("guestd ran %v", r.Ran["guestd"])
	}
	switched := "    sh-72 [000] d..2.   100.020200: sched_switch: prev_comm=sh prev_pid=72 prev_prio=120 prev_state=S ==> next_comm=rauc next_pid=90 next_prio=120\n"
	installer := "            rauc-90      [000] .....   100.012200: task_rename: pid=91 oldcomm=rauc newcomm=installer oom_score_adj=0\n"
	later, err := Read(strings.NewReader(strings.Replace(trace, installer, "", 1) + switched))
	if err != nil || math.Abs(later.RanLater["sh"]-0.011) > 1e-6 || later.Ran["sh"] != 0 {
		t.Errorf("after the script: %v, until it: %v, %v", later.RanLater, later.Ran, err)
	}
	if got := Shares(map[string]float64{"a": 0.001, "b": 0.02}); got != "b 20.0, a 1.0" {
		t.Errorf("shares %q", got)
	}
	lost, err := Read(strings.NewReader(strings.Replace(trace, "16/16", "16/17", 1)))
	if err != nil || !lost.Lost {
		t.Error("a lost event is not told", err)
	}
}
