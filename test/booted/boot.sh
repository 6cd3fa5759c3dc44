# SPDX-License-Identifier: GPL-3.0-or-later
# Boots this machine's own systemd as process 1 of a container whose root is
# this machine's root below a layer that is thrown away. Run by package booted:
#   unshare --mount sh boot.sh ROOM SHARED PROGRAM
# ROOM: empty directory; SHARED: appears as /shared; PROGRAM: as /opt/test.
set -e
if [ "$1" != inside ]; then
	mount --make-rprivate /
	mount -t tmpfs room "$1"
	cd "$1"
	mkdir cgroup upper work root
	mount -t cgroup2 cgroup2 cgroup
	group=$PWD/cgroup/usbagent-test-$$
	mkdir "$group"
	# The next shell enters the group before it gets a view of its own of it.
	sh -c 'echo $$ >"$0/cgroup.procs" && exec unshare --pid --fork --uts --ipc --net --cgroup --kill-child sh "$@"' \
		"$group" "$(dirname "$0")/boot.sh" inside "$2" "$3" || true
	find "$group" -depth -type d -exec rmdir {} +
	exit
fi
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root

mkdir -p root/shared root/opt
mount --bind "$2" root/shared
cp "$3" root/opt/test
# The journal is to be read after the end too.
rm -rf root/var/log/journal
mkdir root/shared/journal
ln -s /shared/journal root/var/log/journal
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev run run
mount -t tmpfs -o mode=755 dev dev
for d in null zero full random urandom; do
	touch dev/$d
	mount --bind /dev/$d dev/$d
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# Nothing of this machine's own but the basics; no udev, which cannot be had twice.
mkdir -p run/systemd/system
for u in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
	systemd-modules-load.service systemd-tmpfiles-setup-dev.service timers.target tmp.mount; do
	ln -s /dev/null run/systemd/system/$u
done
cp shared/units/* run/systemd/system/
pivot_root . mnt
umount -l /mnt
exec env -i container=usbagent-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=usbagent-test.target --show-status=false
