"""What workspaces are wanted to be after an order: another start, another root disk, another image."""

import msgspec
import pytest
from negotiating import ADMIN, NOW, A, record_of, shop

from protocol.capacity.advert import ImageLabel
from protocol.contract.story import line_of
from protocol.grid.expand import workspaces
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import ImageRef
from protocol.grid.stopping import RebuildTerms, StopTerms
from protocol.hosting.following import after, note_of
from protocol.terms.effects import Note
from protocol.trust.order import Action, Order, read_order
from protocol.wire.codec import encode

MEMBERS = {w.name: w for w in workspaces(shop(2))}
WEB = Wanted("web-1", Power.RUNNING, 3)
IMAGE = ImageRef("debian", "d" * 64)


def order(action: Action, body: bytes = b"", workspace: str = "") -> Order:
    return read_order(ADMIN.order(action, "shop", NOW, workspace=workspace, body=body))


def followed(action: Action, wanted: Wanted = WEB, body: bytes = b"") -> Wanted:
    result, why = after(order(action, body), [wanted], MEMBERS, {})
    assert why == ""
    return result["web-1"]


def test_a_rebuild_is_another_start_on_another_root_disk() -> None:
    for power in (Power.RUNNING, Power.PAUSED, Power.SUSPENDED):
        rebuilt = followed(Action.REBUILD, msgspec.structs.replace(WEB, power=power))
        assert rebuilt == Wanted("web-1", Power.RUNNING, 4, build=2)


def test_the_image_of_a_rebuild_stays_until_another_names_one() -> None:
    rebuilt = followed(Action.REBUILD, body=encode(RebuildTerms(IMAGE)))
    assert rebuilt == Wanted("web-1", Power.RUNNING, 4, 2, IMAGE)
    restarted = followed(Action.RESTART, rebuilt)
    assert restarted == Wanted("web-1", Power.RUNNING, 5, 2, IMAGE)
    assert followed(Action.REBUILD, restarted) == Wanted("web-1", Power.RUNNING, 6, 3, IMAGE)


def test_only_an_order_that_says_so_asks_nobody() -> None:
    cut = followed(Action.RESTART, body=encode(StopTerms(at_once=True)))
    assert cut == Wanted("web-1", Power.RUNNING, 4, at_once=True)
    assert followed(Action.RESTART, cut) == Wanted("web-1", Power.RUNNING, 5)
    assert followed(Action.REBUILD, body=encode(RebuildTerms(at_once=True))).at_once


@pytest.mark.parametrize("action", [Action.RESTART, Action.REBUILD])
def test_an_order_that_cannot_be_read_changes_nothing(action: Action) -> None:
    result, why = after(order(action, b"\xff"), [WEB], MEMBERS, {})
    assert result == {}
    assert why.startswith(f"an order to {action}: ")


@pytest.mark.parametrize(
    "image",
    [
        ImageRef("a" * 2_000, "d" * 64),
        ImageRef("debian\x1b[2J", "d" * 64),
        ImageRef("debian", "../../etc"),
        ImageRef("debian"),
        ImageRef("", "d" * 64),
    ],
)
def test_a_rebuild_of_what_no_grid_may_name_changes_nothing(image: ImageRef) -> None:
    result, why = after(
        order(Action.REBUILD, encode(RebuildTerms(image)), "web-1"), [WEB], MEMBERS, {}
    )
    assert result == {}
    assert why.startswith("an order to rebuild: ")
    assert len(why) < 1000


def test_one_that_is_off_is_neither_paused_nor_resumed_and_told_what_starts_it() -> None:
    off = {"web-1": Status("web-1", Phase.OFF, "powered off from inside")}
    for action in (Action.PAUSE, Action.RESUME):
        _, why = after(order(action, workspace="web-1"), [WEB], MEMBERS, off)
        assert why.startswith("web-1 is off: powered off from inside")
        assert "overlayctl restart" in why
        assert after(order(action), [WEB], MEMBERS, off)[1] == "", "the whole grid, but for it"
    result, why = after(order(Action.RESTART), [WEB], MEMBERS, off)
    assert (result["web-1"].boot, why) == (4, "")


APPLIANCE = MEMBERS["web-1"].image
OLD, NEW = ImageRef("debian", "a" * 64), IMAGE
DISK, OTHER = "disk", "container"


def label(image: ImageRef, kind: str, virtual_bytes: int = 0) -> ImageLabel:
    return ImageLabel(image.name, image.digest, 1, kind, virtual_bytes)


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ((label(APPLIANCE, "appliance"),), "web-1 boots from an appliance, "),
        ((label(APPLIANCE, DISK), label(NEW, OTHER)), "of kind disk; debian is of kind container"),
        (
            (label(APPLIANCE, DISK), label(NEW, DISK, 2 << 30)),
            "debian has 2 GiB, and the root disk",
        ),
        ((label(APPLIANCE, DISK), label(NEW, DISK, 1 << 30)), ""),
        ((label(APPLIANCE, DISK),), ""),
        ((), ""),
    ],
)
def test_what_is_known_not_to_fit_is_refused_before_anything_ends(
    images: tuple[ImageLabel, ...], why: str
) -> None:
    members = {
        name: msgspec.structs.replace(member, root_bytes=1 << 30)
        for name, member in MEMBERS.items()
    }
    body = encode(RebuildTerms(NEW))
    result, said = after(order(Action.REBUILD, body), [WEB], members, {}, images)
    assert (bool(result), bool(said)) == (not why, bool(why))
    assert why in said


def test_an_appliance_that_was_rebuilt_of_a_disk_is_no_appliance() -> None:
    rebuilt = msgspec.structs.replace(WEB, image=OLD)
    images = (label(APPLIANCE, "appliance"), label(OLD, DISK))
    result, why = after(order(Action.REBUILD), [rebuilt], MEMBERS, {}, images)
    assert (result["web-1"].build, why) == (2, "")


def test_a_rebuild_is_told_in_the_story_of_its_grid() -> None:
    record = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
    rebuilt = note_of(order(Action.REBUILD, encode(RebuildTerms(NEW)), "web-1"), record)
    line = line_of(rebuilt, NOW)
    assert line is not None
    assert line.text == "web-1: root disk thrown away, made anew from debian"
    assert rebuilt.cause == record.id
    assert note_of(order(Action.PAUSE), record) == Note("workspace.pause", "shop/*")


def test_where_one_cannot_follow_none_does() -> None:
    other = Wanted("web-2", Power.SUSPENDED)
    result, why = after(order(Action.RESTART), [WEB, other], MEMBERS, {})
    assert (result, why) == ({}, "web-2 is wanted suspended: restart does not apply")
