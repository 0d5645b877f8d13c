#!/bin/sh
# Exports the volume to the grid's network.
set -eu
[ -x /usr/sbin/exportfs ] || { apt-get update -q && apt-get install -qy --no-install-recommends nfs-kernel-server; }
install -d -m 0777 /srv/work      # root of a client is nobody here
echo "/srv/work 10.46.0.0/24(rw,async,no_subtree_check)" >/etc/exports
systemctl enable nfs-server
systemctl restart nfs-server
exportfs -ra
