#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the captures in testdata: capture/run.sh KERNEL-TREE WORK-DIRECTORY
# KERNEL-TREE: an unpacked linux-image-*-armmp package (boot/, lib/modules/).
set -e
here=$(cd "$(dirname "$0")" && pwd); tree=$1; work=$2
mkdir -p "$work/ramfs/m"; cd "$work"
(cd "$here" && CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=7 go build -o "$work/ramfs/init" .)
modules=$(echo "$tree"/lib/modules/*)
for m in xhci-pci usb-storage uas sd_mod sr_mod; do
	modprobe -d "$tree" -S "$(basename "$modules")" --show-depends "$m"
done | awk '/^insmod/ && !seen[$2]++ {print $2}' >list
: >ramfs/modules
while read -r f; do cp "$f" ramfs/m/; basename "$f" >>ramfs/modules; done <list
(cd ramfs && find . | cpio -o -H newc --quiet) >initramfs
for i in 1 2 3 4 5; do truncate -s 64M disk$i.img; done
# twelve partitions: logical ones, so that sda10 comes before sda2 by name
{ echo label: dos; echo ',1M'; echo ',1M'; echo ',1M'; echo ',,E'; for i in 5 6 7 8 9 10 11 12; do echo ',1M'; done; } | sfdisk -q disk1.img
printf 'label: gpt\n,8M\n,8M\n' | sfdisk -q disk3.img
truncate -s 4M cd.iso
rm -f monitor
qemu-system-arm -M virt,highmem=off -cpu cortex-a15 -m 256M -nographic -no-reboot -net none \
	-kernel "$tree"/boot/vmlinuz-* -initrd initramfs -append "console=ttyAMA0 panic=-1" \
	-monitor unix:monitor,server=on,wait=off -device qemu-xhci,id=x \
	-device usb-hub,bus=x.0,port=1 \
	-drive if=none,id=d1,format=raw,file=disk1.img -device usb-storage,id=stick,bus=x.0,port=1.1,drive=d1,removable=on,serial=STICK1 \
	-device usb-bot,id=reader,bus=x.0,port=1.2,serial=READER1 \
	-drive if=none,id=d2,format=raw,file=disk2.img -device scsi-hd,bus=reader.0,scsi-id=0,lun=0,drive=d2,removable=on \
	-drive if=none,id=d3,format=raw,file=disk3.img -device scsi-hd,bus=reader.0,scsi-id=0,lun=1,drive=d3,removable=on \
	-drive if=none,id=d4,format=raw,file=cd.iso,media=cdrom -device scsi-cd,bus=reader.0,scsi-id=0,lun=2,drive=d4 \
	-device usb-uas,id=uas,bus=x.0,port=2,serial=UAS1 \
	-drive if=none,id=d5,format=raw,file=disk5.img,readonly=on -device scsi-hd,bus=uas.0,scsi-id=0,lun=0,drive=d5 \
	>console 2>&1 &
qemu=$!
until grep -q '=== REMOVE' console || ! kill -0 $qemu 2>/dev/null; do sleep 1; done
python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); s.connect("monitor"); s.recv(4096); s.send(b"device_del stick\n"); s.recv(4096)' || true
wait $qemu
tr -d '\r' <console >console.txt
