// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import "fmt"

// Action is what is to be done with an image.
type Action string

const (
	// Install it.
	Install Action = "install"
	// Skip it: there is nothing to do.
	Skip Action = "skip"
	// Mismatch: it is for another system; a failure unless another image of
	// the stick fits.
	Mismatch Action = "mismatch"
	// Refuse it: a failure that the technician is told (code 6).
	Refuse Action = "refuse"
)

// Situation is what the slots do not tell.
type Situation struct {
	// AtBoot: the stick was first seen at boot, not freshly plugged.
	AtBoot bool
	// Installed: the state directory says that this image was installed on
	// this board before.
	Installed bool
	// Arrived: the state directory says that after such an installation the
	// board ran this image and was confirmed good. Leaving it later is a
	// rollback by hand; never having arrived is a fall back.
	Arrived bool
	// Waiting names an image that was installed since the machine started, and
	// so has not been booted; for boot loaders that do not say what boots next.
	Waiting string
	// Restarted: the state directory says that the machine was restarted since
	// the installation that still waits, and came up in the old system again.
	// Restarting once more would not help, and the next stick must.
	Restarted bool
	// Followed: this boot is the first after an installation, so the stick may
	// have been in since then. Two images on one stick would take turns.
	Followed bool
	// PassedOver: the state directory says that at such a boot this image was
	// left alone, and that it was not installed since.
	PassedOver bool
}

// Decision is what to do with an image, and why, in words for a technician.
type Decision struct {
	Action Action
	Reason string
	// FellBack: the image was installed and the board went back from it
	// before it was confirmed good.
	FellBack bool
	// PassedOver: only a fresh plug installs it, at later boots as well; to be
	// remembered.
	PassedOver bool
}

// Decide says what to do with the bundle info on the system s, after the rules
// of docs/integrator.md. It only looks at its arguments.
func Decide(info Info, s System, at Situation) Decision {
	if s.Compatible != "" && info.Compatible != s.Compatible {
		return Decision{Action: Mismatch, Reason: fmt.Sprintf("the image is for %q, this board is %q", info.Compatible, s.Compatible)}
	}
	if s.Runs(info) {
		return Decision{Action: Skip, Reason: "the running system is this image already"}
	}
	if slot, ok := s.Unproven(); ok && !at.Restarted {
		return decideWaiting(slot.Name, s.Kept(info))
	}
	if s.Primary == "" && at.Waiting != "" {
		return decideWaiting(at.Waiting, s.Kept(info))
	}
	if at.AtBoot {
		return decideAtBoot(info, s, at)
	}
	return Decision{Action: Install, Reason: "the stick was plugged and the running system is another one"}
}

// decideWaiting answers while an installation has not been booted yet.
func decideWaiting(what string, same bool) Decision {
	if same {
		return Decision{Action: Skip, Reason: fmt.Sprintf("the image is installed in %s and starts with the next boot", what)}
	}
	return Decision{Action: Refuse, Reason: fmt.Sprintf("%s is to boot next and has not been booted yet: restart the board first", what)}
}

// decideAtBoot never installs twice what was in the port all the time.
func decideAtBoot(info Info, s System, at Situation) Decision {
	kept := s.Kept(info)
	switch {
	case at.Installed && !at.Arrived && (kept || !info.comparable(s.Variant)):
		return Decision{Action: Refuse, FellBack: true, Reason: "the image was installed, but the board went back to the system before it; plug the stick again to try once more"}
	case at.Installed:
		return Decision{Action: Skip, Reason: "the image was installed before; plug the stick again to install it once more"}
	case kept:
		return Decision{Action: Skip, Reason: "the other system is this image already; plug the stick again to install it once more"}
	case at.Followed || at.PassedOver:
		d := Decision{Action: Skip, PassedOver: true, Reason: "an image was installed before this boot, and one plug is for one image; plug the stick again to install this one"}
		if at.Restarted {
			d.Action = Refuse // the board went back: somebody waits for an image
		}
		return d
	}
	return Decision{Action: Install, Reason: "the stick was in at boot and neither system is this image"}
}
