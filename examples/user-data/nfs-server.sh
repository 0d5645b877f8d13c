#!/bin/sh
# Exports the volume to the grid's network.
set -eu
[ -x /usr/sbin/exportfs ] || { apt-get update -q && apt-get install -qy --no-install-recommends nfs-kernel-server; }
install -d -m 0777 /srv/work      # root of a client is nobody here
how="(rw,async,no_subtree_check)"
echo "/srv/work 10.46.0.0/24$how fd46::/64$how" >/etc/exports      # names lead to both
systemctl enable nfs-server
systemctl restart nfs-server
exportfs -ra
