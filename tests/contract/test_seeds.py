"""The contract of seeds, in memory and as ISO images; then the ISO as others read it."""
# ruff: noqa: ASYNC221, ASYNC240 (a test has its loop for itself, so it may block)

import io
import stat
import subprocess
from pathlib import Path

import msgspec
import pycdlib
import pytest
import yaml

from overlayd.adapters.seeds import SEED_MIN_BYTES, NoCloudSeeds
from overlayd.fakes.seeds import FakeSeeds
from overlayd.ports.seeds import Seed, SeedError, Seeds

SEED = Seed(
    instance_id="grid-1-head-1",
    hostname="head",
    ssh_authorized_keys=(
        f"ssh-ed25519 {'A' * 68} somebody@somewhere",
        f"ssh-rsa {'B' * 700} long: key # with 'marks'",
    ),
    mounts=(("home", "/home"), ("data", "/srv/with space")),
)
READER = Path(__file__).parents[2] / "scripts" / "image" / "seed.awk"


@pytest.fixture(params=["fake", "iso"])
def seeds(request: pytest.FixtureRequest, tmp_path: Path) -> Seeds:
    return FakeSeeds() if request.param == "fake" else NoCloudSeeds(tmp_path / "seeds")


def kept(seeds: Seeds, tmp_path: Path) -> list[str]:
    """The machines whose seeds are there."""
    if isinstance(seeds, FakeSeeds):
        return sorted(seeds.seeds)
    return sorted(path.stem for path in (tmp_path / "seeds").iterdir())


async def test_one_path_a_machine(seeds: Seeds) -> None:
    head = await seeds.ensure("head", SEED)
    assert await seeds.ensure("head", SEED) == head
    assert await seeds.ensure("head", msgspec.structs.replace(SEED, hostname="other")) == head
    assert await seeds.ensure("worker", SEED) != head


async def test_its_files_are_read_again_as_they_were_written(seeds: Seeds) -> None:
    with pytest.raises(SeedError, match="seed of head"):
        await seeds.files("head")
    given = msgspec.structs.replace(SEED, user_data=b"#!/bin/sh\necho \xff\n")
    await seeds.ensure("head", given)
    files = await seeds.files("head")
    assert files["user-data"] == given.user_data
    assert b"grid-1-head-1" in files["meta-data"]
    await seeds.remove("head")
    with pytest.raises(SeedError):
        await seeds.files("head")


async def test_what_is_removed_is_gone_and_nothing_else(seeds: Seeds, tmp_path: Path) -> None:
    await seeds.ensure("head", SEED)
    await seeds.ensure("worker", SEED)
    assert kept(seeds, tmp_path) == ["head", "worker"]
    await seeds.remove("head")
    assert kept(seeds, tmp_path) == ["worker"]


async def test_the_machines_that_have_one_are_known(seeds: Seeds, tmp_path: Path) -> None:
    assert await seeds.observe() == ()
    for machine in ("worker", "head"):
        await seeds.ensure(machine, SEED)
    if isinstance(seeds, NoCloudSeeds):
        (tmp_path / "seeds" / "cut.new").touch()
        assert await seeds.observe() == ("cut", "head", "worker"), "one was cut short"
        await seeds.remove("cut")
    assert await seeds.observe() == ("head", "worker")


async def test_removing_what_is_gone_succeeds(seeds: Seeds, tmp_path: Path) -> None:
    await seeds.ensure("head", SEED)
    await seeds.remove("head")
    await seeds.remove("head")
    await seeds.remove("never-was")
    assert kept(seeds, tmp_path) == []


async def test_what_was_removed_is_made_again(seeds: Seeds, tmp_path: Path) -> None:
    path = await seeds.ensure("head", SEED)
    await seeds.remove("head")
    assert await seeds.ensure("head", SEED) == path
    assert kept(seeds, tmp_path) == ["head"]


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": ""},
        {"hostname": "two\nlines"},
        {"instance_id": "\x00"},
        {"ssh_authorized_keys": ("ssh-rsa A\nssh-rsa B",)},
        {"mounts": (("data", ""),)},
    ],
)
async def test_what_a_guest_could_not_read(seeds: Seeds, change: dict[str, object]) -> None:
    with pytest.raises(SeedError, match="cannot be told"):
        await seeds.ensure("head", msgspec.structs.replace(SEED, **change))


@pytest.mark.parametrize("machine", ["", "../head", "a/b", ".hidden"])
async def test_a_machine_is_never_a_path(seeds: Seeds, machine: str) -> None:
    with pytest.raises(SeedError, match="not a machine's name"):
        await seeds.ensure(machine, SEED)
    with pytest.raises(SeedError, match="not a machine's name"):
        await seeds.remove(machine)


# The ISO as others read it; tests/e2e has a real guest read one.


def read(iso: str, name: str) -> bytes:
    out = io.BytesIO()
    disc = pycdlib.PyCdlib()
    disc.open(iso)
    disc.get_file_from_iso_fp(out, joliet_path=f"/{name}")
    disc.close()
    return out.getvalue()


async def test_it_is_found_by_its_label_and_private(tmp_path: Path) -> None:
    iso = await NoCloudSeeds(tmp_path / "seeds").ensure("head", SEED)
    told = subprocess.run(["blkid", "-p", "-o", "export", iso], capture_output=True, check=True)
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(told.stdout.decode().split())
    assert Path(iso).stat().st_size >= SEED_MIN_BYTES
    assert stat.S_IMODE(Path(iso).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "seeds").iterdir()] == ["head.iso"]


async def test_cloud_init_reads_it(tmp_path: Path) -> None:
    iso = await NoCloudSeeds(tmp_path / "seeds").ensure("head", SEED)
    meta = yaml.safe_load(read(iso, "meta-data"))
    assert meta == {
        "instance-id": "grid-1-head-1",
        "local-hostname": "head",
        "public-keys": list(SEED.ssh_authorized_keys),
        "mounts": [["LABEL=home", "/home"], ["LABEL=data", "/srv/with space"]],
    }
    assert read(iso, "user-data") == b"#cloud-config\n{}\n"
    assert b"#cloud-boothook" in read(iso, "vendor-data")


async def test_what_its_owner_gave_it_is_there_to_the_byte(tmp_path: Path) -> None:
    given = b"#!/bin/sh\n\x00\xff\r\n" * 9000
    seed = msgspec.structs.replace(SEED, user_data=given)
    iso = await NoCloudSeeds(tmp_path / "seeds").ensure("head", seed)
    assert read(iso, "user-data") == given


async def test_our_guest_reads_it(tmp_path: Path) -> None:
    iso = await NoCloudSeeds(tmp_path / "seeds").ensure("head", SEED)
    argv = ["busybox", "awk", "-f", str(READER)]
    told = subprocess.run(argv, input=read(iso, "meta-data"), capture_output=True, check=True)
    assert told.stdout.decode().splitlines() == [
        *(f"key {key}" for key in SEED.ssh_authorized_keys),
        "mount LABEL=home /home",
        "mount LABEL=data /srv/with space",
    ]


FLOW = """#cloud-config
# People write YAML in many ways.
package_update: true
users:
  - name: nobody
ssh_authorized_keys: [ssh-ed25519 A a@b, "ssh-rsa B"]
mounts:
  - [LABEL=a, /a, ext4, "defaults,noatime"]
  - - LABEL=b
    - "/b"
  - [ 'LABEL=c' , /c ]
"""


async def test_our_guest_reads_what_others_write() -> None:
    argv = ["busybox", "awk", "-f", str(READER)]
    told = subprocess.run(argv, input=FLOW.encode(), capture_output=True, check=True)
    assert told.stdout.decode().splitlines() == [
        "key ssh-ed25519 A a@b",
        "key ssh-rsa B",
        "mount LABEL=a /a",
        "mount LABEL=b /b",
        "mount LABEL=c /c",
    ]


async def test_the_same_seed_writes_nothing_again(tmp_path: Path) -> None:
    seeds = NoCloudSeeds(tmp_path / "seeds")
    iso = Path(await seeds.ensure("head", SEED))
    before = iso.stat()
    await NoCloudSeeds(tmp_path / "seeds").ensure("head", SEED)
    assert (iso.stat().st_ino, iso.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    await seeds.ensure("head", msgspec.structs.replace(SEED, hostname="other"))
    assert b"local-hostname: other" in iso.read_bytes()


async def test_a_damaged_one_is_written_anew(tmp_path: Path) -> None:
    seeds = NoCloudSeeds(tmp_path / "seeds")
    iso = Path(await seeds.ensure("head", SEED))
    iso.write_bytes(iso.read_bytes()[:40_000])
    await seeds.ensure("head", SEED)
    assert yaml.safe_load(read(str(iso), "meta-data"))["local-hostname"] == "head"


async def test_a_full_disk_is_said(tmp_path: Path) -> None:
    seeds = NoCloudSeeds(tmp_path / "seeds")
    argv = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(tmp_path / "seeds")]
    subprocess.run(argv, check=True)
    try:
        with pytest.raises(SeedError, match="No space left"):
            await seeds.ensure("head", SEED)
        assert list((tmp_path / "seeds").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "seeds")], check=True)
