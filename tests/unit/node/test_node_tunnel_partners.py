"""Two whole nodes with a sealed grid: who gets keys, who gets none, and that nothing ever shows one."""

import json
from pathlib import Path

import msgspec
import pytest

from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.loop.mishandled import FOLDER, Mishandled, Notebook
from protocol.grid.model import Encryption
from protocol.node.events import Arrived, ForwarderBegan
from protocol.node.snapshot import PeerView
from protocol.peering.shut_out import TABLE, shutting_out
from protocol.peering.shut_sites import TABLE as SHUT_SITE
from protocol.peering.shut_sites import SiteFaults
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.sealed import opens, sessions
from protocol.sim.world import World
from protocol.terms.sealed import Cipher
from protocol.tunnel_keys.messages import TunnelAsk, TunnelOffer
from protocol.tunnel_paths.limits import MORE_BYTES
from protocol.wire.codec import encode

CIPHERS = (Cipher.AES_256_GCM,)


class Scene:
    """`shop` is on two of three hosts, each of a site of its own."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world = world or World(7, 3, 3)
        world.start_all()
        world.run(5.0)
        asked = world.peers[0]
        spec = grid_spec("shop", encryption=Encryption.REQUIRED)
        world.give(asked, world.admins[asked.site].up(spec, world.now_s))
        world.run(10.0)
        self.pair = [p for p in world.peers if p.node is not None and p.node.host.leases.rows()]
        (self.stranger,) = (p for p in world.peers if p not in self.pair)

    def counts(self, peer: SimPeer) -> dict[str, int]:
        assert peer.node is not None
        return peer.node.overlay.quarantines.counts


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_two_nodes_with_a_sealed_grid_have_keys(scene: Scene) -> None:
    one, other = scene.pair
    assert opens(one, other)
    assert opens(other, one)
    assert one.sealed is not None
    (row,) = one.sealed.peers
    assert (row.address, row.port) == (other.facts.underlay, 7700)  # type: ignore[union-attr]


def test_the_same_forwarder_again_changes_nothing(scene: Scene) -> None:
    one, other = scene.pair
    before = sessions(one, other)
    one.forwards()
    scene.world.run(5.0)
    assert sessions(one, other) == before


def test_a_member_without_a_network_in_common_is_not_heard_and_not_blamed(scene: Scene) -> None:
    one, _ = scene.pair
    for message in (TunnelAsk(1, 1), TunnelOffer(b"x", b"y")):
        one.feed(Arrived(scene.stranger.id, message, ""))
    assert scene.counts(one)["tunnel-keys-no-partner"] == 2
    assert one.node is not None
    assert one.node.overlay.quarantines.faults(scene.stranger.id) == 0


def test_a_partner_that_says_what_nobody_may_is_blamed(scene: Scene) -> None:
    one, other = sorted(scene.pair, key=lambda peer: peer.id)
    other.feed(Arrived(one.id, TunnelOffer(b"x", b"y"), ""))
    assert other.node is not None
    assert other.node.overlay.quarantines.faults(one.id) == 1
    assert scene.counts(other)["tunnel-keys-malformed"] == 1
    assert opens(other, one)


@pytest.mark.parametrize("what", ["peer", "site"])
def test_who_was_shut_out_gets_no_keys_until_that_is_over(scene: Scene, what: str) -> None:
    one, other = scene.pair
    now = scene.world.now_s
    one.crash()
    if what == "peer":
        (row,) = shutting_out({}, other.id, "it failed", now)
        one.store.setdefault(TABLE, {})[row.key] = row.value or b""
    else:
        one.store.setdefault(SHUT_SITE, {})[other.site] = encode(SiteFaults((), now + 600.0, 1))
    one.start()
    scene.world.run(5.0)
    assert one.sealed is not None
    assert one.sealed.peers == ()
    scene.world.run(700.0)
    assert opens(one, other)
    assert opens(other, one)


def keys_of(*peers: SimPeer) -> list[bytes]:
    return [
        key.reveal()
        for peer in peers
        for row in (peer.sealed.peers if peer.sealed is not None else ())
        for session in row.sessions
        for key in (session.send, session.receive)
    ]


def test_no_key_is_in_any_row_message_note_or_row_of_the_view(scene: Scene) -> None:
    one, other = scene.pair
    scene.world.run(130.0)
    keys = keys_of(one, other)
    assert len(keys) >= 4
    now = scene.world.now_s
    for peer in scene.pair:
        assert peer.node is not None
        view = PeerView(peer.node)
        texts = [repr(view.grids(now)), repr(view.peers(now)), repr(view.problems(now))]
        texts += [repr(step) for step in peer.story]
        data = [value for rows in peer.store.values() for value in rows.values()]
        for key in keys:
            assert not [text for text in texts if key.hex() in text or repr(key)[2:-1] in text]
            assert not [value for value in data if key in value]


async def test_no_key_is_in_what_is_written_of_an_event_that_failed(
    scene: Scene, tmp_path: Path
) -> None:
    one, other = scene.pair
    (key, *_), table = keys_of(one), one.sealed
    store = SqliteStore(tmp_path)
    await store.open()
    try:
        raise ValueError(f"{table} could not be told", table)
    except ValueError as error:
        failed = Mishandled(Arrived(other.id, TunnelAsk(1, 1), ""), error)
    await Notebook(tmp_path).write(store, failed, None, one.identity, lambda _: "", 1.0)
    await store.close()
    (text,) = (path.read_text() for path in (tmp_path / FOLDER).glob("*.txt"))
    assert "Secret()" in text
    for hidden in (key.hex(), repr(key)[2:-1]):
        assert hidden not in text


def test_a_forwarder_of_which_nothing_is_known_is_said_as_an_event() -> None:
    plain = msgspec.to_builtins(ForwarderBegan("one", CIPHERS))
    said = {"instance": "one", "ciphers": ["aes-256-gcm"], "native": False}
    assert json.loads(json.dumps(plain)) == said


def sealed_problems(peer: SimPeer) -> list[str]:
    assert peer.node is not None
    found = PeerView(peer.node).problems(peer.now_s)
    return [problem.what for problem in found if problem.kind == "sealed"]


def test_status_says_which_hosts_there_are_no_keys_with_and_why(scene: Scene) -> None:
    one, other = scene.pair
    scene.world.run(20.0)
    assert sealed_problems(one) == []
    other.crash()
    scene.world.run(500.0)
    assert sealed_problems(one) == [], "its forwarder goes on by the keys that it has"
    scene.world.run(150.0)
    (what,) = sealed_problems(one)
    assert what.startswith(f"no sealed traffic with 1 host ({other.name}) for ")
    assert what.endswith("no keys were agreed on")
    other.start()
    scene.world.run(40.0)
    assert sealed_problems(one) == sealed_problems(other) == []


def test_status_says_that_a_host_has_no_forwarder_or_its_partner_tells_of_none() -> None:
    world = World(7, 3, 3)
    for peer in world.peers:
        peer.forwards = lambda **_: None  # type: ignore[method-assign]  # none of them runs
    scene = Scene(world)
    scene.world.run(20.0)
    for peer in scene.pair:
        (what,) = sealed_problems(peer)
        assert what.endswith("this host's forwarder does not run")
    for peer in scene.pair:
        peer.feed(ForwarderBegan("one", CIPHERS))
    scene.world.run(10.0)
    assert sealed_problems(scene.pair[0]) == []


@pytest.mark.parametrize("where", ["this host", "127.0.0.1"])
def test_nothing_is_sent_to_this_host_itself_because_a_partner_tells_so(where: str) -> None:
    """Else a partner would have this host's forwarder talk to services that trust who is on the host."""
    world = World(7, 3, 3)
    scene = Scene(world)
    one, other = scene.pair
    assert one.facts is not None
    assert other.facts is not None
    lie = one.facts.underlay if where == "this host" else where
    other.facts = msgspec.structs.replace(other.facts, underlay=lie)
    other.crash()
    other.start()
    world.run(60.0)
    assert one.sealed is not None
    (row,) = one.sealed.peers
    assert (row.address, row.port) == ("", 0)


def test_status_says_that_a_partner_does_not_tell_where_it_takes_sealed_traffic() -> None:
    world = World(7, 3, 3)
    for peer in world.peers:
        assert peer.facts is not None
        peer.facts = msgspec.structs.replace(peer.facts, tunnel_port=0)
    scene = Scene(world)
    scene.world.run(20.0)
    (what,) = sealed_problems(scene.pair[0])
    assert what.endswith("none of them tells where it takes that")


def test_status_says_where_probes_do_not_come_back_from(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = scene.pair
    scene.world.run(20.0)
    assert sealed_problems(one) == []
    probe = scene.world.wires.probe
    monkeypatch.setattr(scene.world.wires, "probe", lambda *_: False)
    scene.world.run(60.0)
    assert one.node is not None
    assert other.facts is not None
    (problem,) = (p for p in PeerView(one.node).problems(one.now_s) if p.kind == "sealed")
    where = f"{other.name} ({other.facts.underlay}:7700)"
    assert problem.what.startswith(f"UDP to {where} does not come back for ")
    assert problem.what.endswith(": guests here and there do not hear each other")
    assert (
        problem.would_work == "UDP ports 7700 here and 7700 there open in the firewalls on the way"
    )
    monkeypatch.setattr(scene.world.wires, "probe", probe)
    scene.world.run(20.0)
    assert sealed_problems(one) == []


def test_a_path_that_takes_less_is_told_to_the_forwarder_and_to_guests(scene: Scene) -> None:
    one, other = scene.pair
    one.widths[other.id] = MORE_BYTES + 1318
    scene.world.run(30.0)
    assert one.node is not None
    assert one.sealed is not None
    assert [row.mtu for row in one.sealed.peers] == [1318]
    (lease,) = one.node.host.leases.rows()
    part = PeerView(one.node).part_of(lease.record.id)
    assert part is not None
    assert part.takes == ((other.id, 1318),)
    told = [row for row in PeerView(one.node).grids(scene.world.now_s) if row.name == "shop"]
    assert [mtu for _, mtu in told[0].networks] == [1318]
    (path,) = PeerView(one.node).paths(lease.record.id) or ()
    assert path.mtu == 1318
    assert one.notes["network.mtu"] == 1
    assert other.sealed is not None
    assert [row.mtu for row in other.sealed.peers] == [0], "the other way is wide"
