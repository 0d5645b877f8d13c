#!/bin/sh
# A proxy for whoever reaches it. It keeps what it fetched in memory, and writes a log to its own disk.
set -eu
grep -q ^proxy: /etc/passwd || echo 'proxy:x:13:13::/var/spool/squid:/bin/false' >>/etc/passwd
grep -q ^proxy: /etc/group || echo 'proxy:x:13:' >>/etc/group
mkdir -p /var/log/squid /var/spool/squid /scratch/squid
chown proxy:proxy /var/log/squid /var/spool/squid /scratch/squid
cat >/etc/squid/squid.conf <<CONF
http_port 3128
http_access allow all
cache_mem 32 MB
access_log stdio:/scratch/squid/access.log
pinger_enable off
CONF
squid
