"""What may be seen of a peer: rows of peers, sites and grids, what was asked of it, what its host carries."""

import msgspec
import pytest

from protocol.capacity.quantum import Quantum
from protocol.grid.record import GridState
from protocol.image.commit import CommitTerms
from protocol.membership.messages import Unwelcome
from protocol.node.events import Arrived, Event, Probed, RecordGiven
from protocol.node.rows import NoCommit, NoConsole
from protocol.node.snapshot import PeerView
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import IMAGE, grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Realise
from protocol.terms.ids import Digest, GridId, PeerId, RequestId
from protocol.trust.certificate import read_certificate
from protocol.trust.order import Action
from protocol.trust.record import SignedRecord
from protocol.trust.revocation import revoke
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

TINY = Digest(IMAGE.digest)


VIA, OTHER = PeerId("d" * 64), PeerId("e" * 64)
"""The peer that an order names as the one that may use it, and another that came by it."""


class Scene:
    """Four hosts at two sites; `shop` is up on two of them, asked for at the first, which keeps a quote."""

    def __init__(self) -> None:
        self.world = World(3, 4, 2)
        self.world.start_all()
        self.world.run(5.0)
        self.asked = self.world.peers[0]
        self.mine, self.theirs = (self.world.peers[i].site for i in (0, 1))
        order = self.world.admins[self.mine].up(grid_spec("shop", 2), self.world.now_s)
        self.request = self.world.give(self.asked, order)
        view = self.view(self.asked)
        assert self.world.run_until(lambda: view.grids(self.now) != [], 20.0)
        (shop,) = view.grids(self.now)
        self.shop = shop.grid
        self.quote = self.world.plan(self.asked, grid_spec("cafe", 1), keep=True)
        assert self.world.run_until(lambda: view.quote(self.quote) is not None, 20.0)
        self.world.run(20.0)

    @property
    def now(self) -> float:
        return self.world.now_s

    def view(self, peer: SimPeer) -> PeerView:
        assert peer.node is not None
        return PeerView(peer.node)

    @property
    def carriers(self) -> list[SimPeer]:
        rows = self.view(self.asked).workspaces(self.shop, self.now)
        return [self.world.by_id[row.peer] for row in rows]

    def console(
        self,
        action: Action = Action.CONSOLE,
        grid: str = "",
        place: str = "",
        site: str = "",
        shown_by: PeerId = VIA,
    ) -> tuple[GridId, str]:
        """What an order of that site's admin opens at the first host: its own workspace, if none is named."""
        order = self.world.admins[site or self.mine].order(
            action, grid or self.shop, self.now, workspace=place or "web-1", via=VIA
        )
        return self.view(self.carriers[0]).console(order, shown_by, self.now)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A scene that tests only read."""
    return Scene()


def test_a_peer_says_who_it_is(scene: Scene) -> None:
    view, peer = scene.view(scene.asked), scene.asked
    assert (view.me, view.name, view.site) == (peer.id, peer.name, peer.site)
    row = view.this_peer()
    assert (row.peer, row.name, row.site, row.known) == (peer.id, peer.name, peer.site, 3)


def test_everybody_is_listed_by_site_and_name(scene: Scene) -> None:
    rows = scene.view(scene.asked).peers(scene.now)
    assert [(row.site, row.name) for row in rows] == sorted(
        (peer.site, peer.name) for peer in scene.world.peers
    )
    health = {row.peer: row.health for row in rows}
    assert health.pop(scene.asked.id) == "self"
    assert list(health.values()) == ["alive"] * 3
    assert all(row.age_s >= 0 for row in rows)
    assert sum(row.workspaces for row in rows) == 2


def test_a_site_is_its_hosts_together(scene: Scene) -> None:
    view = scene.view(scene.asked)
    rows, peers = view.sites(scene.now), view.peers(scene.now)
    assert [(row.site, row.hosts, row.alive) for row in rows] == [
        (site, 2, 2) for site in sorted((scene.mine, scene.theirs))
    ]
    for row in rows:
        there = [peer.free for peer in peers if peer.site == row.site]
        assert row.free == sum(there, Quantum())


def test_timetables_begin_with_what_is_free_now(scene: Scene) -> None:
    view = scene.view(scene.asked)
    free = {row.name: row.free for row in view.peers(scene.now)}
    rows = view.timetables(scene.now)
    assert {row.name: row.steps[0].free for row in rows} == free
    assert {row.now_s for row in rows} == {scene.now}


def test_an_image_is_got_at_ones_own_site_first(scene: Scene) -> None:
    world, view = scene.world, scene.view(scene.asked)
    (near,) = [p.id for p in world.peers if p.site == scene.mine and p is not scene.asked]
    sources = view.sources(TINY)
    assert sources[0] == near
    assert sorted(sources[1:]) == sorted(p.id for p in world.peers if p.site == scene.theirs)
    assert view.sources(Digest("0" * 64)) == []


def test_a_dead_host_has_no_image_to_give() -> None:
    scene = Scene()
    dead = scene.world.peers[1]
    dead.crash()
    view = scene.view(scene.asked)
    assert scene.world.run_until(lambda: dead.id not in view.sources(TINY), 30.0)
    assert len(view.sources(TINY)) == 2


def test_a_grid_is_found_by_name_and_by_id_at_every_peer(scene: Scene) -> None:
    for peer in scene.world.peers:
        view = scene.view(peer)
        (row,) = view.grids(scene.now)
        assert (row.grid, row.state, row.owner_site) == (scene.shop, GridState.UP, scene.mine)
        assert (row.workspaces, row.hosts, row.phases) == (2, 2, (("ready", 2),))
        assert view.find_grids("shop") == view.find_grids(scene.shop) == [scene.shop]
        assert view.find_grids("shop", scene.mine) == [scene.shop]
        assert view.find_grids("shops") == view.find_grids("shop", scene.theirs) == []


def test_workspaces_of_a_host_that_is_not_heard_are_lost_in_every_row() -> None:
    """A host dies: the grid's row and its workspaces' rows say the same, at every peer that lives."""
    scene = Scene()
    victim = next(peer for peer in scene.carriers if peer is not scene.asked)
    victim.crash()
    died_s = scene.now
    for peer in scene.world.peers:
        if peer is victim:
            continue
        view = scene.view(peer)
        assert scene.world.run_until(
            lambda v=view: "lost" in dict(v.grids(scene.now)[0].phases), 30.0
        )
    scene.world.run(max(0.0, died_s + 130.0 - scene.now))
    for peer in scene.world.peers:
        if peer is victim:
            continue
        view = scene.view(peer)
        (row,) = view.grids(scene.now)
        assert row.phases == (("ready", 1), ("lost", 1)) or row.phases == (
            ("lost", 1),
            ("ready", 1),
        )
        (lost,) = [r for r in view.workspaces(scene.shop, scene.now) if r.peer == victim.id]
        assert (lost.phase, lost.detail, lost.told) == (
            "lost",
            "last ready 2 min ago",
            "ready",
        )
        assert lost.silent_s == pytest.approx(130.0, abs=5.0)
        who, would = row.lost
        assert who == f"host {victim.name} ({lost.workspace}) was not heard for 2 min"
        assert would.startswith(
            f"  would work: `overlayctl terminate shop/{lost.workspace}` takes it out"
        )
    victim.start()
    view = scene.view(scene.asked)
    assert scene.world.run_until(lambda: view.grids(scene.now)[0].phases == (("ready", 2),), 60.0)
    assert view.grids(scene.now)[0].lost == ()


def test_workspaces_are_told_with_their_hosts_and_how_old_the_news_is(scene: Scene) -> None:
    view = scene.view(scene.asked)
    rows = view.workspaces(scene.shop, scene.now)
    assert [row.workspace for row in rows] == ["web-1", "web-2"]
    for row in rows:
        peer = scene.world.by_id[row.peer]
        assert (row.host, row.site, row.phase) == (peer.name, peer.site, "ready")
        assert row.age_s >= 0
    assert view.workspaces(GridId("none"), scene.now) == []


def test_requests_and_quotes_are_those_of_the_peer_that_was_asked(scene: Scene) -> None:
    view = scene.view(scene.asked)
    made = view.request(scene.request)
    assert made is not None
    assert (made.grid, made.state) == ("shop", RequestState.DONE)
    assert [one.id for one in view.requests()] == [scene.request, scene.quote]
    kept = view.quote(scene.quote)
    assert kept is not None
    assert (kept.spec.name, view.quotes()) == ("cafe", [kept])
    other = scene.view(scene.world.peers[1])
    assert (other.requests(), other.quotes()) == ([], [])
    assert other.request(scene.request) is None
    assert other.quote(RequestId("quote-1")) is None


def test_a_carrier_knows_its_part(scene: Scene) -> None:
    for number, peer in enumerate(scene.carriers, 1):
        view = scene.view(peer)
        assert view.carried() == [scene.shop]
        part = view.part_of(scene.shop)
        assert part is not None
        assert [one.workspace.name for one in part.mine] == [f"web-{number}"]
        used = part.mine[0].workspace
        assert view.free.cpus_milli == view.facts.capacity.cpus_milli - used.cpus_milli
    for peer in scene.world.peers:
        if peer not in scene.carriers:
            view = scene.view(peer)
            assert (view.carried(), view.part_of(scene.shop)) == ([], None)
            assert view.free == view.facts.capacity


def test_the_owner_opens_the_console_of_a_workspace_where_it_is(scene: Scene) -> None:
    assert scene.console() == (scene.shop, "web-1")
    assert scene.console(grid=scene.shop) == (scene.shop, "web-1")


def test_no_console_for_others_nor_of_what_is_not_here(scene: Scene) -> None:
    with pytest.raises(NoConsole, match=f"^shop belongs to site {scene.mine}'s admin; use that"):
        scene.console(site=scene.theirs)
    with pytest.raises(NoConsole, match=r"^an order to pause does not open a console$"):
        scene.console(Action.PAUSE)
    with pytest.raises(NoConsole, match=r"^this order is for use through another peer$"):
        scene.console(shown_by=OTHER)
    for grid, place in (("", "web-2"), ("", "web-9"), ("other", "web-1")):
        with pytest.raises(NoConsole, match=f"^this host does not carry {grid or 'shop'}/{place}$"):
            scene.console(grid=grid, place=place)


def test_the_owner_makes_an_image_of_a_workspace_where_it_is(scene: Scene) -> None:
    admin, view = scene.world.admins[scene.mine], scene.view(scene.carriers[0])
    terms = CommitTerms("mine", "0" * 16)

    def ask(
        action: Action = Action.COMMIT,
        place: str = "web-1",
        body: bytes = encode(terms),
        shown_by: PeerId = VIA,
    ) -> tuple[GridId, str, CommitTerms]:
        order = admin.order(action, "shop", scene.now, workspace=place, body=body, via=VIA)
        return view.commit(order, shown_by, scene.now)

    assert ask() == (scene.shop, "web-1", terms)
    with pytest.raises(NoCommit, match="does not carry shop/web-2"):
        ask(place="web-2")
    with pytest.raises(NoCommit, match="an order to console does not make an image"):
        ask(Action.CONSOLE)
    with pytest.raises(NoCommit, match="its body does not say what the image is called"):
        ask(body=b"?")
    with pytest.raises(NoCommit, match="an image's name is 1 to 63"):
        ask(body=encode(CommitTerms("/etc/passwd", "0" * 16)))
    others = scene.world.admins[scene.theirs].order(
        Action.COMMIT, scene.shop, scene.now, workspace="web-1", body=encode(terms)
    )
    with pytest.raises(NoCommit, match=f"^shop belongs to site {scene.mine}'s admin"):
        view.commit(others, VIA, scene.now)
    with pytest.raises(NoCommit, match="for use through another peer"):
        ask(shown_by=OTHER)


def test_no_console_by_an_order_that_is_over(scene: Scene) -> None:
    """Its sender is not told what is here either."""
    admin, view = scene.world.admins[scene.mine], scene.view(scene.carriers[0])
    for grid in ("shop", "other"):
        order = admin.order(Action.CONSOLE, grid, scene.now - 1000, workspace="web-1")
        with pytest.raises(Untrusted, match="sign it again"):
            view.console(order, VIA, scene.now)


def revocation(scene: Scene, site: str) -> SignedRecord:
    """A revocation of the second host's certificate, signed by a site."""
    made, peer = scene.world.federation, scene.world.peers[1]
    certificate = read_certificate(peer.identity.chain[0])
    return revoke(certificate, "stolen", scene.now, made.site(site), made.site_chain(site))


def test_a_revocation_is_checked_and_known_once_it_was_heard() -> None:
    scene = Scene()
    view, signed = scene.view(scene.asked), revocation(scene, scene.theirs)
    said, known = view.revocation(signed)
    assert (said.reason, known) == ("stolen", False)
    assert view.revocation(signed) == (said, False), "asking is not hearing"
    scene.asked.feed(RecordGiven(signed))
    assert view.revocation(signed) == (said, True)


def test_a_revocation_by_who_may_not_is_untrusted(scene: Scene) -> None:
    signed = revocation(scene, scene.theirs)
    changed = msgspec.structs.replace(signed, signature=bytes(len(signed.signature)))
    with pytest.raises(Untrusted):
        scene.view(scene.asked).revocation(changed)


def test_a_view_shows_the_peer_as_it_is_and_cannot_be_changed() -> None:
    scene = Scene()
    view = scene.view(scene.asked)
    facts = msgspec.structs.replace(view.facts, labels=("ssd",))
    scene.asked.feed(Probed(facts))
    assert view.facts == facts
    with pytest.raises(AttributeError):
        view.facts = facts  # type: ignore[misc]
    with pytest.raises(AttributeError):
        view.cached = facts  # type: ignore[attr-defined]


def test_with_a_revoked_host_nothing_is_exchanged_for_a_grid_any_more() -> None:
    """On the other carriers at once, on the revoked one as soon as it hears, and after a restart as well."""
    scene = Scene()
    victim, other = sorted(scene.carriers, key=lambda peer: peer is not scene.carriers[1])

    def out(of: SimPeer) -> tuple[PeerId, ...] | None:
        part = scene.view(of).part_of(scene.shop)
        return part.out if part is not None else None

    assert (out(victim), out(other)) == ((), ())
    chain = scene.world.federation.host_chain(victim.site, victim.name)
    site, by = scene.world.federation.site(victim.site), chain[1:]
    signed = revoke(read_certificate(chain[0]), "stolen", scene.now, site, by)

    def kicked(peer: SimPeer, event: Event) -> bool:
        peer.feed(event)
        effects = next(effects for _, seen, effects in reversed(peer.story) if seen is event)
        return scene.shop in [e.grid for e in effects if isinstance(e, Realise)]

    assert kicked(other, RecordGiven(signed))
    assert out(other) == (victim.id,)
    assert out(victim) == ()
    assert kicked(victim, Arrived(other.id, Unwelcome("revoked", scene.now, signed), ""))
    assert victim.node is not None
    assert out(victim) == (other.id,)
    offer = victim.node.host.offer()
    assert offer.refused is not None
    assert "was revoked on" in offer.refused.detail
    status = scene.view(victim).status(scene.now)
    assert status.problems[0].kind == "certificate"
    assert "(stolen)" in status.problems[0].what
    assert status.no_room_why == "its certificate was revoked"
    for peer in (victim, other):
        peer.crash()
        peer.start()
    scene.world.run(0.1)
    assert (out(victim), out(other)) == ((other.id,), (victim.id,))
