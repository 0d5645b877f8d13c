"""What a guest is told at boot, as the files that cloud-init's NoCloud source reads.

`user-data` is its owner's, byte for byte. What is ours is in the other three, so that nothing of it is lost
when both say something of one kind: cloud-init merges mappings, and of two lists it takes the owner's. So keys
are in `meta-data`, and disks are mounted by a boot hook, not by a list of `mounts`. Our small appliance reads
keys and disks from `meta-data` (scripts/image/seed.awk).
"""

from shlex import quote

import yaml

from overlayd.ports.seeds import Seed, SeedError, SeedNic

METADATA_ADDRESS = "169.254.169.254"
"""Where a guest asks its host, as in every cloud."""

NO_USER_DATA = b"#cloud-config\n{}\n"
"""The source wants the file, also of who says nothing."""

_BOUNDARY = "=overlayd="

_HOOK = r"""#cloud-boothook
#!/bin/sh
# At each boot: the disks overlayd gave this machine are mounted, and it says when everything is done.
fstab() {
    [ ! -e /etc/fstab ] || grep -v 'x-overlayd' /etc/fstab
    options=defaults,noatime,nofail,x-systemd.device-timeout=15s,x-systemd.before=local-fs.target,x-overlayd
    options=$options,x-systemd.growfs
@FSTAB@
    :
}
fstab >/run/overlayd.fstab
if ! cmp -s /run/overlayd.fstab /etc/fstab; then
    cp /run/overlayd.fstab /etc/fstab.overlayd && mv /etc/fstab.overlayd /etc/fstab
    systemctl daemon-reload 2>/dev/null
fi
disk() {
    mkdir -p "$1"
    grep -qsF " $2 " /proc/mounts || mount "$1"
}
@MOUNTS@

said() {
    result=$(tr -d '\000-\037"\\' </run/cloud-init/result.json)
    problem=$(printf %s "$result" | sed 's/.*errors: *\[ *\([^]]*\)\].*/\1/' | cut -c 1-190)
    keys=
    for kind in ed25519 ecdsa rsa; do
        [ -r /etc/ssh/ssh_host_${kind}_key.pub ] || continue
        read -r type key rest </etc/ssh/ssh_host_${kind}_key.pub
        keys="$keys${keys:+, }\"$type $key\""
    done
    printf '{"host_keys": [%s]%s}\n' "$keys" "${problem:+, \"problem\": \"$problem\"}"
}
ask() {
    curl -fs -m 10 --noproxy '*' ${2:+--data-binary "@$2"} -o /dev/null "$1" && return
    wget -q -T 10 --no-proxy ${2:+"--post-file=$2"} -O /dev/null "$1" && return
    python3 - "$@" <<'END'
import sys, urllib.request as web
body = open(sys.argv[2], "rb").read() if sys.argv[2:] else None
web.build_opener(web.ProxyHandler({})).open(sys.argv[1], body, timeout=10)
END
}
(
    host=http://@METADATA@/overlayd/v1
    try=0
    until ask $host/self || [ $((try += 1)) -gt 30 ]; do sleep 2; done
    until [ -e /run/cloud-init/result.json ]; do sleep 1; done
    said >/run/overlayd.ready
    try=0
    until ask $host/ready /run/overlayd.ready || [ $((try += 1)) -gt 60 ]; do sleep 10; done
) </dev/null >/dev/null 2>&1 &
"""
"""For any sh. That it asks who it is tells its host that it will say when it is ready. It goes by result.json,
which cloud-init writes last. Mounts come before `write_files`, and are in fstab so that after a reboot they are
there before any service. Without a disk of that label the boot goes on: an image may have been made of this
machine's disk."""


def files_of(seed: Seed) -> dict[str, bytes]:
    """The seed's files by name. Raises SeedError if a guest could not be told something in it."""
    for text in (
        seed.instance_id,
        seed.hostname,
        *seed.ssh_authorized_keys,
        *(part for mount in seed.mounts for part in mount),
    ):
        if not text or not text.isprintable() or text != text.strip():
            raise SeedError(
                f"a guest cannot be told {text[:80]!r}: it is empty or not one plain line"
            )
    files = {
        "meta-data": _yaml(_meta(seed)),
        "user-data": seed.user_data or NO_USER_DATA,
        "vendor-data": _vendor(seed),
    }
    if seed.nics:
        files["network-config"] = _yaml(_network(seed))
    return files


def _meta(seed: Seed) -> dict[str, object]:
    meta: dict[str, object] = {"instance-id": seed.instance_id, "local-hostname": seed.hostname}
    if seed.ssh_authorized_keys:
        meta["public-keys"] = list(seed.ssh_authorized_keys)
    if seed.mounts:
        meta["mounts"] = [[f"LABEL={label}", place] for label, place in seed.mounts]
    return meta


def _network(seed: Seed) -> dict[str, object]:
    """Version 2, as netplan has it. Cards are named, since not every renderer finds one by its address."""
    cards = {f"eth{index}": _card(nic, seed.domain) for index, nic in enumerate(seed.nics)}
    for name, card in cards.items():
        card["set-name"] = name
    return {"version": 2, "ethernets": cards}


def _card(nic: SeedNic, domain: str) -> dict[str, object]:
    names: dict[str, object] = {"addresses": [nic.gateway]}
    if domain:
        names["search"] = [domain]
    card: dict[str, object] = {
        "match": {"macaddress": nic.mac},
        "addresses": [nic.address, nic.address6] if nic.address6 else [nic.address],
        "mtu": nic.mtu,
        "nameservers": names,
    }
    routes = [f"{METADATA_ADDRESS}/32"] if nic.metadata else []
    routes += ["0.0.0.0/0"] if nic.way_out else []
    if routes:
        card["routes"] = [{"to": to, "via": nic.gateway} for to in routes]
    return card


def _vendor(seed: Seed) -> bytes:
    """A MIME archive of a cloud-config and the boot hook.

    The name of a machine is left to DNS: a line `127.0.1.1 NAME`, as some images write it, would have it tell
    its peers a name that means everybody's own self.
    """
    config = {
        "hostname": seed.hostname,
        "fqdn": f"{seed.hostname}.{seed.domain}" if seed.domain else seed.hostname,
        "manage_etc_hosts": False,
        "growpart": {"mode": "auto", "devices": ["/"], "ignore_growroot_disabled": False},
        "resize_rootfs": True,
    }
    parts = (
        ("cloud-config", "#cloud-config\n" + _yaml(config).decode()),
        ("cloud-boothook", _hook(seed)),
    )
    lines = [f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', "MIME-Version: 1.0", ""]
    for kind, text in parts:
        lines += [f"--{_BOUNDARY}", f'Content-Type: text/{kind}; charset="utf-8"']
        lines += ["MIME-Version: 1.0", "Content-Transfer-Encoding: 8bit", "", text]
    return "\n".join([*lines, f"--{_BOUNDARY}--", ""]).encode()


def _hook(seed: Seed) -> str:
    fstab, mounts = [], []
    for label, place in seed.mounts:
        escaped = place.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
        row = f"LABEL={label} {escaped} auto"
        fstab.append(f"    printf '%s %s 0 2\\n' {quote(row)} \"$options\"")
        mounts.append(f"disk {quote(place)} {quote(escaped)}")
    hook = _HOOK.replace("@FSTAB@", "\n".join(fstab)).replace("@MOUNTS@", "\n".join(mounts))
    return hook.replace("@METADATA@", METADATA_ADDRESS)


def _yaml(content: dict[str, object]) -> bytes:
    """One line for each value, because the appliance's reader is a small one."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1 << 30).encode()
