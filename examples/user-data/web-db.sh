#!/bin/sh
# A cluster on the volume: made the first time, found again by whoever mounts it later.
set -eu
[ -x /usr/bin/pg_lsclusters ] || {
    apt-get update -q
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    # It keeps the file above, and asks nobody about it.
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        -o Dpkg::Options::=--force-confold postgresql
}
version=$(ls /usr/lib/postgresql | sort -V | tail -n 1)
data=/var/lib/postgresql/$version/main
chown postgres: /var/lib/postgresql
# With data on the volume it is taken as it is; what an image brought along without data is made anew.
systemctl stop "postgresql@$version-main"
[ -s "$data/PG_VERSION" ] || pg_dropcluster "$version" main 2>/dev/null || true
[ -e "/etc/postgresql/$version/main" ] || pg_createcluster "$version" main
conf=/etc/postgresql/$version/main
pg_conftool "$version" main set listen_addresses '*'
for range in 10.45.1.0/24 fd45:1::/64; do
    grep -q "$range" "$conf/pg_hba.conf" || echo "host site site $range trust" >>"$conf/pg_hba.conf"
done
systemctl enable "postgresql@$version-main"
systemctl restart "postgresql@$version-main"
cd /
runuser -u postgres -- psql -qc 'create role site login' -c 'create database site owner site' 2>/dev/null || true
runuser -u postgres -- psql -q site -c 'create table if not exists visit (at timestamptz default now())' \
    -c 'alter table visit owner to site'
