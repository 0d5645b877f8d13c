#!/bin/sh
# Mounts the server's export now and at every boot. A server that is away is waited for.
set -eu
[ -x /sbin/mount.nfs ] || { apt-get update -q && apt-get install -qy --no-install-recommends nfs-common; }
mkdir -p /work
grep -q ' /work nfs' /etc/fstab || echo "server-1:/srv/work /work nfs vers=4.2,hard,_netdev,nofail 0 0" >>/etc/fstab
mount /work
echo "$(hostname) was here" >"/work/$(hostname)"
