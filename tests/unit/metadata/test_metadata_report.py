"""What guests say when they are ready: cloud-init's form, JSON, nothing; and what they may not say."""

import json
from urllib.parse import urlencode

import pytest

from overlayd.metadata.report import PROBLEM_MOST_CHARACTERS, Report, one_line, read_report

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"


def test_nothing_is_ready() -> None:
    assert read_report(b"") == read_report(b" \n") == Report()


def test_cloud_inits_form() -> None:
    form = {
        "pub_key_rsa": "N/A",
        "pub_key_ecdsa": "garbage",
        "pub_key_ed25519": f"{KEY} root@head-1\n",
        "instance_id": "i-1",
        "hostname": "head-1",
        "fqdn": "head-1.star",
    }
    kind = "application/x-www-form-urlencoded"
    assert read_report(urlencode(form).encode(), kind) == Report((KEY,))


def test_json() -> None:
    said = json.dumps({"host_keys": [f"{KEY} root@x"]}).encode()
    assert read_report(said) == read_report(said, "application/json") == Report((KEY,))
    some = json.dumps({"host_keys": [f"ssh-rsa {'A' * 900}", KEY]}).encode()
    assert read_report(some) == Report((KEY,)), "what is too large is left out"
    assert read_report(b'{"problem": "no database"}') == Report((), "no database")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"ready", "neither JSON nor a form"),
        (b"&".join(b"a%d=1" % n for n in range(40)), "neither JSON nor a form"),
        (b"\xff\xfe=1", "neither JSON nor a form"),
        (b'{"host_keys": "x"}', "is taken"),
        (b'{"workspace": "other-1"}', "unknown field"),
        (b'{"host_keys": ["x"]}', "no type of host key"),
        (json.dumps({"host_keys": [KEY] * 9}).encode(), "9 host keys"),
        (b'{"problem": "\\u001b\\u0007"}', "without a word"),
        (b"{" * 5000, "is taken"),
        (b'{"a":' + b"[" * 16000, "is taken"),
    ],
)
def test_what_it_may_not_say(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_report(body, "")


def test_a_problem_is_one_plain_line_that_moves_no_terminal() -> None:
    said = read_report(json.dumps({"problem": "a\x1b[2J\x07\nb\u202e\tc " + "x" * 9000}).encode())
    assert said.problem.startswith("a [2J b c xxx")
    assert len(said.problem) == PROBLEM_MOST_CHARACTERS
    assert said.problem.isprintable()
    assert one_line("\x00") == ""
