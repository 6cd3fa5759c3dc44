// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import "strings"

// The states of a slot.
const (
	Booted   = "booted"   // the root file system that runs
	Active   = "active"   // belongs to the booted one
	Inactive = "inactive" // everything else
)

// Good is the boot status of a slot that the boot loader would boot. "bad"
// does not mean that something failed: a good boot may disable the other slot.
const Good = "good"

// Slot is what RAUC's GetSlotStatus says about one slot (RAUC reference
// manual, "GetSlotStatus"). What RAUC does not know is empty; a slot flashed
// in the factory has no digest.
type Slot struct {
	Name, Class, Device, Type  string
	BootName, Parent, State    string
	Description, Mountpoint    string
	BootStatus                 string // Good, "bad", or "" where the boot loader does not say
	Status                     string // "ok", or what an interrupted installation left
	SHA256                     string // lower-case hex, of the image as it was in the bundle
	Size                       uint64
	BundleCompatible           string
	BundleVersion, BundleBuild string
	BundleDescription          string
	BundleHash                 string
	// Timestamps are by a clock that nobody trusts.
	InstalledTimestamp, ActivatedTimestamp string
	InstalledCount, ActivatedCount         uint32
	InstalledTransaction                   string
}

// System is the running system as the installer sees it.
type System struct {
	Compatible, Variant string
	BootSlot            string // boot name or device the system was booted from
	Primary             string // slot that boots next; "" where the boot loader does not say
	// KeepsPrimary: see SystemConf.
	KeepsPrimary bool
	Slots        []Slot
}

// Slot returns the slot name.
func (s System) Slot(name string) (Slot, bool) {
	for _, slot := range s.Slots {
		if slot.Name == name {
			return slot, true
		}
	}
	return Slot{}, false
}

// BootedSlot returns the slot that the system runs from.
func (s System) BootedSlot() (Slot, bool) {
	for _, slot := range s.Slots {
		if slot.State == Booted {
			return slot, true
		}
	}
	return Slot{}, false
}

// root follows parents to the slot that decides which group slot belongs to.
func (s System) root(slot Slot) Slot {
	for range s.Slots { // bounded, whatever the parents say
		parent, ok := s.Slot(slot.Parent)
		if slot.Parent == "" || !ok {
			return slot
		}
		slot = parent
	}
	return slot
}

// running reports whether slot belongs to the system that runs.
func (s System) running(slot Slot) bool {
	return slot.State == Booted || slot.State == Active || s.root(slot).State == Booted
}

// shared reports whether class has no slot in the running system: a boot
// loader's partition, for example, which no group owns.
func (s System) shared(class string) bool {
	for _, slot := range s.Slots {
		if slot.Class == class && s.running(slot) {
			return false
		}
	}
	return true
}

// Runs reports whether the running system is the content of the bundle info.
// Slots without a digest hold nothing.
func (s System) Runs(info Info) bool { return s.holds(info, true) }

// Kept reports whether the other slots hold the content of the bundle info.
func (s System) Kept(info Info) bool { return s.holds(info, false) }

// holds reports whether every image of info that this system would install
// lies in a slot of its class, in the running group or in another one. It is
// false where no image can be compared.
func (s System) holds(info Info, running bool) bool {
	compared := false
	for _, image := range info.imagesFor(s.Variant) {
		if image.SHA256 == "" {
			continue // made by a hook: nothing to compare
		}
		if !s.holdsImage(image, running) {
			return false
		}
		compared = true
	}
	return compared
}

func (s System) holdsImage(image Image, running bool) bool {
	shared := s.shared(image.Class)
	for _, slot := range s.Slots {
		if slot.Class == image.Class && slot.intact() && strings.EqualFold(slot.SHA256, image.SHA256) &&
			(shared || s.running(slot) == running) {
			return true
		}
	}
	return false
}

// intact reports whether the last installation into the slot was finished.
func (s Slot) intact() bool { return s.Status == "" || s.Status == "ok" }

// imagesFor returns the images that a system of this variant installs: for
// each class the one for the variant, else the one for all.
func (i Info) imagesFor(variant string) []Image {
	var images []Image
	for _, image := range i.Images {
		if image.Variant == variant || image.Variant == "" && !i.hasVariant(image.Class, variant) {
			images = append(images, image)
		}
	}
	return images
}

func (i Info) hasVariant(class, variant string) bool {
	for _, image := range i.Images {
		if variant != "" && image.Class == class && image.Variant == variant {
			return true
		}
	}
	return false
}

// Unproven returns the slot that boots next though the system runs from
// another one: an installation, or a switch by hand, that waits for its first
// boot. It is false where nothing waits or the boot loader does not say.
func (s System) Unproven() (Slot, bool) {
	primary, ok := s.Slot(s.Primary)
	if _, booted := s.BootedSlot(); !ok || !booted || s.running(primary) {
		return Slot{}, false
	}
	return primary, true
}
