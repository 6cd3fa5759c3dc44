// SPDX-License-Identifier: GPL-3.0-or-later

// Package mount turns a block device that anybody may have plugged in into a
// read-only directory below one mount root, and takes it away again.
//
// The agent calls it: [New] once, [Mounter.Recover] before the first stick,
// then [Mounter.Mount] for each partition and [Mount.Detach] when the stick is
// pulled. [Probe] and [SafeName] are pure and portable; the desk tools use
// them too.
//
// Threat model. Every byte on the device is chosen by an attacker, and the
// device may answer the same read differently, late, or never. So:
//
//   - The file system is found by its superblock, with bounded reads, and only
//     if exactly one of the known kinds is there.
//   - What a superblock can ask of the kernel is overridden or refused:
//     errors=continue always, no external journal, no stored mount options.
//   - The label is data. [SafeName] makes one harmless path component of it;
//     the directory is made relative to a handle of the root, and the mount is
//     attached to the handle of that directory, so no link, no "..", and no
//     rename leads anywhere else.
//   - The device node is opened once, checked against major:minor and DISKSEQ,
//     and held while the mount is made: the kernel cannot give its number to
//     another device meanwhile.
//   - NTFS without a kernel driver is parsed by ntfs-3g in a process that can
//     do little else (see [ConfinedMain]).
//
// What it does not promise: nothing here bounds time. Opening, probing,
// mounting and unmounting block as long as the device does; the caller runs
// them where they can be abandoned. Content of files is not judged here.
//
// Do not use it for anything that must be written to all the time: no mount is
// writable but for the moment of [Mount.Write]. It needs Linux 5.2 (fsopen,
// move_mount), and 5.12 (mount_setattr) for that.
package mount
