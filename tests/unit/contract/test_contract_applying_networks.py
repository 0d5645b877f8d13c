"""Networks that come to a grid that is up, and go: what is granted for them, and what nobody believes."""

import msgspec
import pytest
from applying_world import RECORD, grown, regranted, to_apply
from applying_world import spec_of as made
from negotiating import A, B, C
from test_contract_applying import after, beside, by_itself

from protocol.grid.grant import read_grant
from protocol.grid.model import Encryption, GridSpec, NetworkSpec
from protocol.grid.record import GridRecord, vni_of
from protocol.trust.signing import Untrusted

LAN = made().networks[0]
BACK = NetworkSpec("back", "10.77.0.0/24", Encryption.NONE)


def spec(web: int = 2, *, back: bool = True, on: tuple[str, ...] = ("web",)) -> GridSpec:
    """That grid with another network, which some of its clusters are `on`."""
    plain = made(web)
    clusters = tuple(
        msgspec.structs.replace(c, networks=(LAN.name, "back")) if c.name in on else c
        for c in plain.clusters
    )
    networks = (LAN, BACK) if back else (LAN,)
    return msgspec.structs.replace(plain, clusters=clusters, networks=networks)


def with_new() -> GridRecord:
    """A cluster comes, at C, that alone is on the new network."""
    whole = spec(on=())
    more = msgspec.structs.replace(whole.clusters[0], name="api", count=1, networks=("back",))
    there = msgspec.structs.replace(whole, clusters=(*whole.clusters, more))
    return grown(to_apply(there), {"api-1": C})


def vnis_of(record: GridRecord, host: str) -> tuple[int, ...]:
    return next(read_grant(g).vnis for g in record.grants if g.host == host)


def test_a_network_comes_and_those_on_it_grant_its_id() -> None:
    record = grown(to_apply(spec()), {})
    assert record.applied is not None
    lan, back = record.vnis
    assert lan == RECORD.vnis[0]
    assert back == ("back", vni_of(record.applied.attempt, "back"))
    assert vnis_of(record, A) == vnis_of(record, B) == (lan[1], back[1])
    assert after(record) == by_itself(record) == record
    beside(record)


def test_who_is_not_on_it_is_not_asked() -> None:
    record = with_new()
    assert after(record) == by_itself(record) == record
    assert vnis_of(record, A) == (RECORD.vnis[0][1],)
    assert len(vnis_of(record, C)) == 2


def test_a_network_that_nobody_is_on_comes_and_goes() -> None:
    record = grown(to_apply(spec(on=())), {})
    assert after(record) == by_itself(record) == record
    assert record.grants == RECORD.grants
    gone = grown(to_apply(spec(back=False, on=()), record), {}, record)
    assert gone.vnis == RECORD.vnis
    assert after(gone, record) == by_itself(gone) == gone


def test_a_network_goes_and_who_was_on_it_is_asked() -> None:
    record = grown(to_apply(spec()), {})
    gone = grown(to_apply(spec(back=False, on=()), record), {}, record)
    assert gone.vnis == RECORD.vnis
    assert after(gone, record) == by_itself(gone) == gone
    again = grown(to_apply(spec(), gone), {}, gone)
    assert again.vnis[1] != record.vnis[1], "it is another network"
    beside(again, gone)
    beside(again, RECORD)  # It missed two epochs.


def test_who_missed_that_networks_came_believes_what_followed() -> None:
    record = with_new()
    later = grown(to_apply(without_web_2(record), record), {}, record)
    assert by_itself(later) == later
    beside(later, RECORD)


def without_web_2(record: GridRecord) -> GridSpec:
    from applying_world import AUTHORITY

    standing = AUTHORITY.spec(record.standing)
    web, *others = standing.clusters
    fewer = msgspec.structs.replace(web, count=1, minimum=None)
    return msgspec.structs.replace(standing, clusters=(fewer, *others))


def other_id(record: GridRecord, name: str) -> GridRecord:
    vnis = tuple((n, 4711 if n == name else vni) for n, vni in record.vnis)
    return msgspec.structs.replace(record, vnis=vnis)


@pytest.mark.parametrize("network", [LAN.name, "back"])
def test_no_network_has_an_id_that_its_hosts_did_not_grant(network: str) -> None:
    for record in (grown(to_apply(spec()), {}), with_new()):
        with pytest.raises(Untrusted):
            by_itself(other_id(record, network))
        with pytest.raises(Untrusted):
            after(other_id(record, network))


def test_who_stays_is_not_renumbered_with_the_word_of_who_comes() -> None:
    record = other_id(with_new(), LAN.name)
    forged = regranted(record, C, vnis=tuple(vni for _, vni in record.vnis))
    with pytest.raises(Untrusted, match="VXLAN ids that its host did not grant"):
        by_itself(forged)


def test_a_new_id_follows_from_the_attempt() -> None:
    record = other_id(with_new(), "back")
    forged = regranted(record, C, vnis=tuple(vni for _, vni in record.vnis))
    assert by_itself(forged) == forged, "its only member's host granted it"
    for told in (lambda: after(forged), lambda: beside(forged)):
        with pytest.raises(Untrusted, match="other vnis than the order makes"):
            told()


def test_ids_are_not_swapped_where_nobody_is_asked() -> None:
    record = grown(to_apply(spec()), {})
    fewer = grown(to_apply(spec(1), record), {}, record)
    (lan, one), (back, other) = fewer.vnis
    swapped = msgspec.structs.replace(fewer, vnis=((lan, other), (back, one)))
    with pytest.raises(Untrusted):
        after(swapped, record)
    skipped = grown(to_apply(spec(1, on=("web",)), fewer), {}, fewer)
    forged = msgspec.structs.replace(skipped, vnis=((lan, other), (back, one)))
    with pytest.raises(Untrusted, match="another VXLAN id of"):
        beside(forged, record)  # It missed an epoch.


def test_no_network_changes_in_its_place() -> None:
    before = grown(to_apply(spec()), {})
    moved = msgspec.structs.replace(BACK, cidr="10.78.0.0/24")
    there = msgspec.structs.replace(spec(), networks=(LAN, moved))
    record = grown(to_apply(there, before), {}, before)
    with pytest.raises(Untrusted, match=r"networks\.back\.cidr"):
        by_itself(record)
