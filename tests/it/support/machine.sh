# What the machine does once its modules are loaded: the end of the initial file system's script, where $b is busybox.
for tree in rockridge joliet; do
    options=ro
    [ "$tree" = rockridge ] || options=ro,norock
    $b mount -t iso9660 -o "$options" /dev/vdb /disc || continue
    cd /disc
    for file in *; do
        echo "KHIMG $tree $file $($b stat -c %a "$file") $($b sha256sum <"$file" | $b cut -d' ' -f1)"
    done
    cd /
    $b umount /disc
done
$b mount -t ext4 /dev/vda /root
for name in proc sys dev; do
    $b mount -o bind "/$name" "/root/$name"
done
$b mount -t tmpfs run /root/run
$b chroot /root /bin/sh -c '
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    /usr/lib/cloud-init/ds-identify --force
    echo "KHIMG ds-identify $?"
    grep "^datasource_list" /run/cloud-init/cloud.cfg | sed "s/^/KHIMG /"
    cloud-init init --local >/tmp/log 2>&1
    echo "KHIMG init $?"
    echo "KHIMG datasource $(cat /var/lib/cloud/instance/datasource)"
    echo "KHIMG instance $(cat /var/lib/cloud/data/instance-id)"
    # Not written to its file before the network is there, which this machine has not.
    cloud=/var/lib/cloud/instance/obj.pkl
    hash="import hashlib, pickle, sys; raw = pickle.load(open(sys.argv[1], \"rb\")).userdata_raw
print(hashlib.sha256(raw if isinstance(raw, bytes) else raw.encode()).hexdigest())"
    echo "KHIMG user-data $(python3 -c "$hash" "$cloud")"
    tail -n 5 /tmp/log
'
echo "KHIMG end"
$b poweroff -f
