#!/bin/bash
# Init of a User-Mode Linux: an overlay over this machine's own files, then one job.
# From the kernel's command line: UOUT (folder shared with the host), UJOB (a shell script in it).
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
release=$(uname -r)
mount -t proc proc /proc
trap 'sync; echo o > /proc/sysrq-trigger; sleep 10' EXIT  # an init that ends is a panic that hangs
insmod "/usr/lib/uml/modules/$release/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mkdir -p /mnt/root/old
cd /mnt/root
# Not chroot: the kernel loads its modules from its own root.
pivot_root . old
exec < /dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mkdir -p /run/out "/lib/modules/$release"
mount -t hostfs none /run/out -o "$UOUT"
mount --bind "/usr/lib/uml/modules/$release" "/lib/modules/$release"
modprobe ipv6  # not loaded by use
ip link set lo up
status=0
bash "/run/out/$UJOB" > /run/out/log 2>&1 || status=$?
echo "$status" > /run/out/status
