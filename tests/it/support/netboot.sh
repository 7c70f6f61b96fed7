# What a machine does that booted over the network, once its modules are loaded: the end of the initial file system's script,
# where $b is busybox.
$b cat >/address <<'END'
#!/bin/busybox sh
[ "$1" != bound ] || /bin/busybox ifconfig "$interface" "$ip" netmask "$subnet"
END
$b chmod 755 /address
$b ifconfig eth0 up
$b udhcpc -n -q -t 20 -i eth0 -s /address
seed=$($b sed -n 's/.*;s=\([^ ]*\).*/\1/p' /proc/cmdline)
echo "KHIMG from $seed"
$b wget -q -O /seed "${seed}user-data"
$b sed -n '2s/^/KHIMG seed /p' /seed
$b wget -O /again "${seed}user-data" 2>&1 | $b sed 's/^/KHIMG again /'
echo "KHIMG end"
$b poweroff -f
