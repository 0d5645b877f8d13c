"""What a guest is told, and whom it may speak for: itself."""

import json

import msgspec
import pytest
from metadata_world import BACK, HEAD, KEY, LAN, OTHER, STAR, WORKER, MetadataWorld

from overlayd.metadata import routes
from overlayd.metadata.answer import Request
from protocol.grid.lifecycle import Power, Wanted, Word
from protocol.grid.model import OwnSize
from protocol.hosting.events import GuestSaid
from protocol.terms.allowance import Allowance


@pytest.fixture
def world() -> MetadataWorld:
    return MetadataWorld()


async def test_its_grid(world: MetadataWorld) -> None:
    world.change(STAR, "worker-1", word=Word("worker-1", 1, (KEY,)))
    grid = json.loads((await world.get("/overlayd/v1/grid")).body)
    assert (grid["grid"], grid["id"], grid["self"]) == ("star", STAR, "head-1")
    assert [(c["name"], c["count"], c["provides"], c["requires"]) for c in grid["clusters"]] == [
        ("head", 1, ["nfs"], []),
        ("worker", 2, [], ["nfs"]),
    ]
    head, worker, far = grid["members"]
    assert head["addresses"] == {"back": "10.43.0.10", "lan": "10.42.0.10"}
    assert (head["name"], head["cluster"], head["index"]) == ("head-1", "head", 1)
    assert (head["site"], head["cpus"], head["memory_bytes"]) == ("ams", 0.5, 64 << 20)
    assert (worker["phase"], worker["ready"], worker["host_keys"]) == ("ready", True, [KEY])
    assert (far["name"], far["index"], far["ready"]) == ("worker-2", 2, False)
    assert world.asked == [(STAR, "head-1")]


async def test_its_grid_tells_ipv6_where_a_network_has_it(world: MetadataWorld) -> None:
    world.change(STAR, "worker-1", word=Word("worker-1", 1, (KEY,)))
    part = world.parts[STAR]
    back, lan = part.spec.networks
    lan = msgspec.structs.replace(lan, cidr6="fd42::/64")
    spec = msgspec.structs.replace(part.spec, networks=(back, lan))
    world.parts[STAR] = msgspec.structs.replace(part, spec=spec)
    grid = json.loads((await world.get("/overlayd/v1/grid")).body)
    assert [net["cidr6"] for net in grid["networks"]] == ["", "fd42::/64"]
    head, worker, _ = grid["members"]
    assert head["addresses6"] == {"lan": "fd42::a2a:a"}
    known = (await world.get("/overlayd/v1/keys")).body.decode()
    assert f"{worker['addresses']['lan']},{worker['addresses6']['lan']} " in known


async def test_one_of_a_cluster_that_has_another_size(world: MetadataWorld) -> None:
    part = world.parts[STAR]
    head, worker = part.spec.clusters
    larger = msgspec.structs.replace(worker, sizes=(OwnSize("worker-2", 2000, 128 << 20),))
    spec = msgspec.structs.replace(part.spec, clusters=(head, larger))
    world.parts[STAR] = msgspec.structs.replace(part, spec=spec)
    _, one, other = json.loads((await world.get("/overlayd/v1/grid")).body)["members"]
    assert (one["cpus"], other["cpus"]) == (worker.cpus_milli / 1000, 2.0)
    assert (one["memory_bytes"], other["memory_bytes"]) == (worker.memory_bytes, 128 << 20)


async def test_its_grid_for_a_shell_by_the_addresses_that_it_reaches(world: MetadataWorld) -> None:
    asked = [await world.get("/overlayd/v1/hosts", WORKER)]
    asked.append(await world.get("/overlayd/v1/grid?format=hosts", WORKER))
    for answer in asked:
        assert answer.body.decode().splitlines() == [
            "10.42.0.10 head-1 head",
            "10.42.0.11 worker-1 worker",
            "10.42.0.12 worker-2 worker",
        ]
    assert (await world.get("/overlayd/v1/hosts")).body.startswith(b"10.42.0.10 head-1"), (
        "its first"
    )


async def test_itself(world: MetadataWorld) -> None:
    said = json.loads((await world.get("/overlayd/v1/self", WORKER)).body)
    assert (said["name"], said["grid"], said["id"]) == ("worker-1", "star", STAR)
    assert (said["cluster"], said["index"], said["requires"]) == ("worker", 1, ["nfs"])
    by_its_other_card = json.loads((await world.get("/overlayd/v1/self", "10.43.0.10", BACK)).body)
    assert by_its_other_card["name"] == "head-1"


async def test_the_keys_of_all(world: MetadataWorld) -> None:
    assert (await world.get("/overlayd/v1/keys")).body == b""
    world.change(STAR, "head-1", word=Word("head-1", 1, (KEY,)))
    said = (await world.get("/overlayd/v1/keys", WORKER)).body.decode()
    assert said == f"head-1,head-1.star,10.43.0.10,10.42.0.10 {KEY}\n"


async def test_the_files_of_its_seed(world: MetadataWorld) -> None:
    assert (await world.get("/meta-data")).status == 503
    await world.seed()
    assert b"local-hostname: head-1" in (await world.get("/meta-data")).body
    assert (await world.get("/user-data")).body == b"#!/bin/sh\n"
    assert (await world.get("/vendor-data")).status == 404
    assert (await world.get("/user-data", WORKER)).status == 503, "another's seed is not its own"


@pytest.mark.parametrize(
    ("network", "address"),
    [
        (LAN, "10.42.0.12"),  # worker-2, which is not here
        (LAN, "10.42.0.1"),
        (LAN, "10.43.0.10"),  # the head's on another network
        (f"{STAR}.none", HEAD),
        ("vni-00abcd", HEAD),
        ("", ""),
    ],
)
async def test_who_is_no_guest_here_is_told_nothing(
    world: MetadataWorld, network: str, address: str
) -> None:
    for path in ("/overlayd/v1/grid", "/meta-data", "/"):
        assert (await world.get(path, address, network)).status == 404
    assert (await world.post("/overlayd/v1/ready", b"", address, network)).status == 404
    assert (world.told, world.asked) == ([], [])


async def test_the_same_address_in_another_grid_is_another_guest(world: MetadataWorld) -> None:
    said = json.loads((await world.get("/overlayd/v1/self", HEAD, f"{OTHER}.lan")).body)
    assert (said["grid"], said["id"]) == ("other", OTHER)
    await world.post("/overlayd/v1/ready", b"", HEAD, f"{OTHER}.lan")
    assert [event.grid for event in world.told] == [OTHER]


async def test_one_that_is_to_run_no_more_is_no_guest(world: MetadataWorld) -> None:
    world.change(STAR, "head-1", wanted=Wanted("head-1", Power.OFF))
    assert (await world.get("/overlayd/v1/self")).status == 404


async def test_ready_speaks_for_who_says_it_whatever_it_says(world: MetadataWorld) -> None:
    assert json.loads((await world.get("/overlayd/v1/ready")).body) == {"ready": False}
    body = f"hostname=worker-1&instance_id=i-worker-1&pub_key_ed25519={KEY.replace(' ', '+')}"
    answer = await world.post("/overlayd/v1/ready", body.encode())
    assert (answer.status, json.loads(answer.body)) == (200, {"ready": True})
    assert world.told == [GuestSaid(STAR, "head-1", 1, (KEY,))]
    for path in ("/overlayd/v1/ready/worker-1", "/overlayd/v1/ready?workspace=worker-1"):
        answer = await world.post(path, b"")
        assert answer.status == 405
    refused = await world.post("/overlayd/v1/ready", b'{"workspace": "worker-1"}')
    assert refused.status == 400
    assert {event.workspace for event in world.told} == {"head-1"}
    assert json.loads((await world.get("/overlayd/v1/ready")).body) == {"ready": True}


async def test_what_it_says_again_is_nothing_new(world: MetadataWorld) -> None:
    for _ in range(20):
        assert (await world.post("/overlayd/v1/ready", b"")).status == 200
    assert len(world.told) == 1


async def test_a_word_that_is_not_kept_is_to_be_said_again(
    world: MetadataWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_KEPT_WITHIN_S", 0.0)
    world.keeps = False
    answer = await world.post("/overlayd/v1/ready", b"")
    assert (answer.status, answer.headers) == (503, (("retry-after", "5"),))


async def test_a_guest_that_changes_its_word_without_end_is_heard_now_and_then(
    world: MetadataWorld,
) -> None:
    said = [
        (await world.post("/overlayd/v1/ready", b'{"problem": "%d"}' % n)).status for n in range(30)
    ]
    assert said.count(200) == len(world.told) == routes.WORDS_BURST
    assert set(said) == {200, 429}
    assert (await world.post("/overlayd/v1/ready", b"", WORKER)).status == 200, "others are heard"


async def test_a_guest_that_asks_without_end_is_answered_now_and_then(world: MetadataWorld) -> None:
    world.routes._asks = Allowance(3.0, 0.0, 10)
    said = [(await world.get("/overlayd/v1/self")).status for _ in range(5)]
    assert said == [200, 200, 200, 429, 429]
    assert (await world.get("/overlayd/v1/self", WORKER)).status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("GET", "/", "", ()), 421),
        (Request("GET", "/", "", (("host", "evil.example"),)), 421),
        (Request("GET", "/", "", (("host", "169.254.169.254:80"),)), 200),
        (
            Request(
                "GET", "/", "", (("host", "169.254.169.254"), ("x-forwarded-for", "192.0.2.1"))
            ),
            403,
        ),
        (Request("DELETE", "/", "", (("host", "169.254.169.254"),)), 405),
        (Request("GET", "/../etc/passwd", "", (("host", "169.254.169.254"),)), 404),
    ],
)
async def test_odd_questions(world: MetadataWorld, request_: Request, status: int) -> None:
    assert (await world.routes.answer(LAN, HEAD, request_)).status == status
