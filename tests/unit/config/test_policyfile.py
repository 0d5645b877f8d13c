"""A site's policy as a file: what it becomes, and what is wrong with it, where, and what would be right."""

from pathlib import Path

import pytest

from overlayd.config.documents import DocumentError
from overlayd.config.policyfile import load_policy
from protocol.capacity.quantum import Quantum
from protocol.policy.site_policy import (
    NAMED_MOST,
    VOS_MOST,
    Line,
    PortSpan,
    Priority,
    SitePolicy,
    VoTerms,
)
from protocol.terms.ids import Digest, KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.fingerprint import words_of

KEY, KEY_2, IMAGE = "9f" * 32, "8e" * 32, "0c" * 32
GOOD = f"""\
[site]
priority = "shares"
share = 30

[vo.star]
key = "vo:{KEY}"
share = 60
ceiling = {{cpus = 64, memory = "256G", workspaces = 40, longest-lease = "7d"}}
guaranteed = {{cpus = 8, memory = "32G"}}
images = ["sha256:{IMAGE}"]
expose = ["30000-30999", "443-443"]
devices = ["gpu"]
egress = true

[vo.fra]
key = "site:{KEY_2}"
[vo.fra.ceiling]
devices = 2
disk = "1T"
"""


def read(folder: Path, text: str) -> SitePolicy:
    file = folder / "policy.toml"
    file.write_text(text)
    return load_policy(file)


def said(folder: Path, text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read(folder, text)
    return [each.render().partition("policy.toml:")[2] for each in caught.value.problems]


def test_everything_can_be_said(tmp_path: Path) -> None:
    policy = read(tmp_path, GOOD)
    assert (policy.site, policy.number, policy.chain) == ("", 0, ())
    assert (policy.priority, policy.share) == (Priority.SHARES, 30)
    star, fra = policy.vos
    assert star == VoTerms(
        name="star",
        key=KeyId(KEY),
        share=60,
        ceiling=Ceilings(64_000, 256 << 30, None, 40, None, 7 * 86400),
        guaranteed=Quantum(8000, 32 << 30),
        images=(Digest(IMAGE),),
        expose=(PortSpan(30000, 30999), PortSpan(443, 443)),
        devices=("gpu",),
        egress=True,
        lines=star.lines,
    )
    assert (fra.key, fra.ceiling) == (KEY_2, Ceilings(devices=2, disk_bytes=1 << 40))


def test_each_rule_remembers_its_line(tmp_path: Path) -> None:
    star, fra = read(tmp_path, GOOD).vos
    assert star.lines[0] == Line("", 5, "[vo.star]")
    assert {line.key: line.number for line in star.lines} == {
        "": 5,
        "ceiling": 8,
        "images": 10,
        "expose": 11,
        "devices": 12,
        "egress": 13,
    }
    assert {line.key: line.number for line in fra.lines} == {
        "": 15,
        "ceiling": 17,
        "ceiling.devices": 18,
        "ceiling.disk": 19,
    }


@pytest.mark.parametrize(
    "written",
    [KEY, f"vo:{KEY}", f"site:{KEY}", f"vo star {KEY}", f"vo star {KEY} {words_of(KeyId(KEY))}"],
)
def test_a_key_is_written_alone_or_as_it_was_given(tmp_path: Path, written: str) -> None:
    assert read(tmp_path, f'[vo.star]\nkey = "{written}"\n').vos[0].key == KEY


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    assert read(tmp_path, "").vos == ()


def test_the_example_is_right() -> None:
    example = Path(__file__).parents[3] / "examples" / "policy.toml"
    assert [vo.name for vo in load_policy(example).vos] == ["star", "fra"]


MANY = ", ".join(['"gpu"'] * (NAMED_MOST + 1))
TABLES = "".join(f'[vo.v{n}]\nkey = "{n:064x}"\n' for n in range(VOS_MOST + 1))
BAD = {
    "a key with a typo": (
        GOOD.replace("egress", "egres"),
        ['13:1: vo.star.egres: unknown key; did you mean "egress"?'],
    ),
    "a table with a typo": (
        GOOD.replace("[site]", "[sit]"),
        ['1:1: sit: unknown key; did you mean "site"?'],
    ),
    "no TOML": (GOOD.replace("share = 60", "share = "), ["7:9: not TOML: invalid value"]),
    "a key cut short": (
        GOOD.replace(f"vo:{KEY}", "vo:9f3c"),
        ['6:7: vo.star.key: found "vo:9f3c"; write vo:'],
    ),
    "anothers words": (
        GOOD.replace(f"vo:{KEY}", f"vo star {KEY} {words_of(KeyId(KEY_2))}"),
        ["6:7: vo.star.key: found "],
    ),
    "no key": (GOOD.replace(f'key = "vo:{KEY}"\n', ""), ["5:1: vo.star.key: missing"]),
    "a key twice": (GOOD.replace(KEY_2, KEY), ['16:1: vo.fra.key: found the key of "star" again']),
    "a name": (GOOD.replace("vo.fra", "vo.Fra"), ["15:1: vo.Fra: "]),
    "a share": (
        GOOD.replace("share = 60", "share = -1"),
        ["7:1: vo.star.share: found -1; allowed are 0"],
    ),
    "a ceiling": (
        GOOD.replace("workspaces = 40", "workspaces = -1"),
        ["8:40: vo.star.ceiling.workspaces: found -1"],
    ),
    "a lease": (
        GOOD.replace('"7d"', "7"),
        ["8:73: vo.star.ceiling.longest-lease: found the number 7; write"],
    ),
    "more than its ceiling": (
        GOOD.replace("cpus = 8,", "cpus = 65,"),
        ["9:15: vo.star.guaranteed.cpus: found 65, above its ceiling of 64"],
    ),
    "an image by name": (
        GOOD.replace(f"sha256:{IMAGE}", "debian"),
        ['10:11: vo.star.images[0]: found "debian"; write'],
    ),
    "no image at all": (
        GOOD.replace(f'["sha256:{IMAGE}"]', "[]"),
        ["10:1: vo.star.images: found none; write some"],
    ),
    "a port": (
        GOOD.replace("443-443", "443"),
        ['11:26: vo.star.expose[1]: found "443"; write the first'],
    ),
    "no port": (GOOD.replace("443-443", ""), ["11:26: vo.star.expose[1]: found nothing; write"]),
    "a device": (GOOD.replace('"gpu"', '"GPU 1"'), ["12:12: vo.star.devices[0]: "]),
    "many devices": (GOOD.replace('"gpu"', MANY), ["12:1: vo.star.devices: found 65; at most 64"]),
    "many tables": (TABLES, ["1:1: vo: found 129 tables; at most 128"]),
    "a priority": (
        GOOD.replace('"shares"', '"mine"'),
        ['2:12: site.priority: found "mine"; allowed are own'],
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_answered_with_where_what_and_what_is_allowed(
    tmp_path: Path, name: str
) -> None:
    text, wanted = BAD[name]
    found = said(tmp_path, text)
    assert len(found) == len(wanted), found
    for line, start in zip(found, wanted, strict=True):
        assert line.startswith(start), line


def test_stewards_are_a_few_hosts_each_once(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(f'[site]\nstewards = ["{"a" * 64}", "{"B" * 64}"]\n')
    assert load_policy(file).stewards == ("a" * 64, "b" * 64)
    file.write_text(f'[site]\nstewards = ["{"a" * 64}", "{"A" * 64}"]\n')
    with pytest.raises(DocumentError, match="hosts of the site, each once"):
        load_policy(file)
