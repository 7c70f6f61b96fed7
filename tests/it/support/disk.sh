# What a machine does that booted from a disk image, once its modules are loaded: the end of the initial file system's script, where
# $b is busybox.
echo "KHIMG cmdline $($b cat /proc/cmdline)"
echo "KHIMG efi $([ -d /sys/firmware/efi ] && echo yes || echo no)"
echo "KHIMG name $($b sed -n 's/^PARTNAME=//p' /sys/class/block/vda3/uevent)"
size=$($b sed -n 's/.*khimg.size=\([0-9]*\).*/\1/p' /proc/cmdline)
echo "KHIMG root $($b head -c "$size" /dev/vda3 | $b sha256sum | $b cut -d' ' -f1)"
echo "KHIMG end"
$b poweroff -f
