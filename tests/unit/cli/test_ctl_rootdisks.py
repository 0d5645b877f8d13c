"""Root disks are as large as their image, or larger; who asks for less is told where the file says so."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from overlayd.api.views import ImageRow
from overlayd.cli import gridfile
from overlayd.cli.failure import DocumentFailure
from overlayd.cli.rootdisks import for_its_cpus, for_its_driver, sized
from protocol.grid.model import ClusterSpec, Driver, ImageRef
from protocol.image.facts import ImageKind
from protocol.terms.architecture import Architecture

GIB = 1 << 30
DEBIAN = ImageRow("debian-12", "d" * 64, 300 << 20, True, (), ImageKind.DISK, 2 * GIB, ours=True)
GUEST = ImageRow("guest", "a" * 64, 17 << 20, True, (), ImageKind.APPLIANCE, 17 << 20, ours=True)
BOX = ImageRow("box", "b" * 64, 90 << 20, True, (), ImageKind.CONTAINER, 400 << 20, ours=True)
WEB = ClusterSpec("web", 1, ImageRef("debian-12", "d" * 64), 1000, GIB)
FILE = """\
grid: g
clusters:
  web:
    image: debian-12
    cpus: 1
    memory: 1G
    disk: 20G
profiles:
  small: {clusters: {web: {disk: 1G}}}
  plain: {clusters: {web: {image: guest}}}
"""


def of(disk_bytes: int) -> ClusterSpec:
    return msgspec.structs.replace(WEB, disk_bytes=disk_bytes)


class Client:
    """A daemon that knows two images."""

    def get(self, path: str, kind: object) -> list[ImageRow]:
        return [DEBIAN, GUEST]


class AnySession:
    client = Client()
    site = "ams"


def read(file: Path, profile: str | None = None) -> int:
    spec, _, _ = gridfile.read_grid(AnySession(), file, profile, (), 2)  # type: ignore[arg-type]
    return spec.clusters[0].disk_bytes


def test_a_name_of_the_sessions_site_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(FILE)
    far = msgspec.structs.replace(DEBIAN, ours=False, named_by=("uc",))
    asked = SimpleNamespace(client=SimpleNamespace(get=lambda *_: [far]), site="uc")
    spec, _, _ = gridfile.read_grid(asked, file, None, (), 2)  # type: ignore[arg-type]
    assert spec.clusters[0].image == WEB.image
    asked.site = "ams"
    with pytest.raises(DocumentFailure, match="of this site or of ams"):
        gridfile.read_grid(asked, file, None, (), 2)  # type: ignore[arg-type]


def test_without_a_size_it_is_as_large_as_the_image() -> None:
    assert sized(of(0), DEBIAN) == (of(2 * GIB), "")
    tiny = msgspec.structs.replace(DEBIAN, virtual_bytes=1 << 20)
    assert sized(of(0), tiny) == (of(8 << 20), ""), "a disk has at least 8 MiB"


@pytest.mark.parametrize("disk_bytes", [2 * GIB, 20 * GIB])
def test_as_large_as_the_image_or_larger_is_as_it_was_written(disk_bytes: int) -> None:
    assert sized(of(disk_bytes), DEBIAN) == (of(disk_bytes), "")


def test_an_appliance_has_none() -> None:
    assert sized(of(0), GUEST) == (of(0), "")


def test_the_file_is_read_with_the_size_of_its_image(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(FILE)
    assert read(file) == 20 * GIB
    file.write_text(FILE.replace("    disk: 20G\n", ""))
    assert read(file) == 2 * GIB


def test_less_than_the_image_is_refused_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(FILE.replace("20G", "1.5G"))
    with pytest.raises(DocumentFailure) as told:
        read(file)
    assert [str(line) for line in told.value.lines] == [
        f"{file}:7:11: clusters.web.disk: found 1.5 GiB, and image debian-12 has 2 GiB;"
        " write 2G or more, or leave it out"
    ]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("small", "9:34: profiles.small.clusters.web.disk: found 1 GiB, and image debian-12 has 2"),
        (
            "plain",
            "7:11: clusters.web.disk: found 20 GiB, and image guest is an appliance, which boots"
            " without a root disk; an empty disk at /scratch is scratch: 20G",
        ),
    ],
)
def test_it_is_refused_where_a_profile_says_so(tmp_path: Path, profile: str, said: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(FILE)
    with pytest.raises(DocumentFailure) as told:
        read(file, profile)
    (line,) = told.value.lines
    assert str(line).startswith(f"{file}:{said}")


def test_guests_of_a_disk_go_where_its_cpus_are() -> None:
    arm = msgspec.structs.replace(DEBIAN, architecture="aarch64")
    cluster, wrong = for_its_cpus(WEB, arm)
    assert (cluster.architecture, wrong) == (Architecture.AARCH64, "")
    x86 = msgspec.structs.replace(WEB, architecture=Architecture.X86_64)
    assert for_its_cpus(x86, arm)[1] == "found x86_64, and image debian-12 is for aarch64"
    assert for_its_cpus(WEB, GUEST) == (WEB, "")
    assert for_its_cpus(WEB, msgspec.structs.replace(DEBIAN, architecture="pdp11")) == (WEB, "")


def test_a_container_has_room_beside_what_is_in_its_image() -> None:
    filled, problem = sized(of(0), BOX)
    assert (filled.disk_bytes, problem) == (2 * (500 + 32) << 20, "")
    assert sized(of(GIB), BOX) == (of(GIB), "")
    assert "write 532M or more" in sized(of(400 << 20), BOX)[1]


def test_a_containers_image_goes_to_hosts_of_containers() -> None:
    assert for_its_driver(WEB, BOX)[0].driver is Driver.LXC
    asked = msgspec.structs.replace(WEB, driver=Driver.KVM)
    assert for_its_driver(asked, BOX)[1].startswith(
        "found kvm, and image debian-12 is a container's"
    )


def test_a_disk_goes_to_hosts_of_virtual_machines_and_an_appliance_to_any() -> None:
    assert for_its_driver(WEB, DEBIAN)[0].driver is Driver.QEMU
    assert for_its_driver(WEB, GUEST) == (WEB, "")
    for driver in (Driver.KVM, Driver.QEMU, Driver.TEST):
        asked = msgspec.structs.replace(WEB, driver=driver)
        assert for_its_driver(asked, DEBIAN) == (asked, "")
    asked = msgspec.structs.replace(WEB, driver=Driver.LXC)
    assert for_its_driver(asked, DEBIAN)[1] == (
        "found lxc, and image debian-12 is a virtual machine's: qemu or kvm, or leave it out"
    )
