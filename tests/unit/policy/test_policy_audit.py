"""The audit log as lines: what is done to them is found and named; what strangers cause is bounded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.policy.audit import (
    FAULTS_NAMED,
    GRANTED,
    LINE_BYTES,
    REFUSALS,
    SITES,
    Chain,
    Kind,
    Line,
    Report,
    Sifter,
    follow,
    head,
    origin,
    read_line,
    verify,
)
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.effects import Audit
from protocol.terms.ids import KeyId, PeerId, digest_of

HOST, OTHER = SimSigner("host"), SimSigner("other")
NOW = 1_000_000.0


def decision(number: int = 0, *, allowed: bool = True, site: str = "s1") -> Audit:
    return Audit(
        "act",
        allowed,
        "" if allowed else "bad-signature: no",
        "pause",
        order=f"{number:064d}",
        believed=allowed,
        owner=KeyId("a" * 64),
        via=PeerId("b" * 64),
        via_site=site,
    )


def log(count: int, heads: int = 2, signer: SimSigner = HOST) -> tuple[list[bytes], Chain]:
    """So many decisions, and a head behind every so many."""
    lines, end = [], origin(HOST.key)
    for number in range(1, count + 1):
        line, end = follow(end, Kind.ORDER, NOW + number, order=decision(number))
        lines.append(line)
        if number % heads == 0:
            line, end = head(end, NOW + number, signer)
            lines.append(line)
    return lines, end


def check(lines: list[bytes], *expected: Chain) -> Report:
    return verify(lines, HOST.key, SimVerifier(), expected)


def test_a_log_as_it_was_written_is_whole() -> None:
    lines, end = log(4)
    report = check(lines, end)
    assert (report.lines, report.first, report.last, report.digest) == (6, 1, 6, end.digest)
    assert (report.signed, report.faults, report.remarks) == (6, (), ())
    assert read_line(lines[0]).order == decision(1)


def test_an_empty_one_is_whole_unless_something_is_known_of_it() -> None:
    assert check([]) == Report(0, 0, 0, origin(HOST.key).digest, 0, (), ())
    assert check([], log(2)[1]).faults == ("line 3, which is known to have been there, is missing",)


def test_a_changed_line_is_named() -> None:
    lines, _ = log(4)
    lines[3] = lines[3].replace(b'"act"', b'"hold"')
    assert check(lines).faults == ("line 4 was changed: line 5 does not follow from it",)


def test_missing_lines_are_named() -> None:
    lines, _ = log(6)
    assert check(lines[:2] + lines[4:]).faults == ("lines 3 to 4 are missing",)


def test_lines_that_changed_places_are_named() -> None:
    lines, _ = log(4)
    lines[3], lines[4] = lines[4], lines[3]
    assert "line 4 stands behind line 5: out of order" in check(lines).faults


def test_a_line_that_is_there_twice_is_named() -> None:
    lines, _ = log(4)
    assert check(lines[:2] + lines[1:]).faults == ("line 2 stands behind line 2: out of order",)


def test_a_line_that_is_none_is_named_and_the_rest_is_read() -> None:
    lines, _ = log(4)
    lines[1] = b"{"
    first, second = check(lines).faults
    assert first.startswith("line 2 cannot be read: ")
    assert second == "line 2 was changed: line 3 does not follow from it"
    with pytest.raises(ValueError, match="bytes, at most"):
        read_line(b" " * (LINE_BYTES + 1))


def test_lines_made_anew_after_a_change_are_not_signed_by_the_host() -> None:
    lines, _ = log(4, signer=OTHER)
    assert check(lines).faults[0] == f"line 3 is not signed by host {HOST.key[:16]}"
    lines, _ = log(2)
    told = msgspec.json.decode(lines[2], type=Line)
    lines[2] = msgspec.json.encode(msgspec.structs.replace(told, signature="no digits"))
    assert check(lines).faults == (f"line 3 is not signed by host {HOST.key[:16]}",)


def test_what_was_cut_off_shows_against_what_was_kept() -> None:
    lines, end = log(4)
    assert check(lines[:3]).faults == ()
    assert check(lines[:3], end).faults == (
        "line 6, which is known to have been there, is missing",
    )


def test_a_log_begun_anew_shows_against_what_was_kept() -> None:
    _, end = log(4)
    other, _ = log(12, heads=3)
    assert check(other, end).faults == ("line 6 is another one than was kept of it",)


def test_the_log_of_another_host_is_none_of_this_one() -> None:
    lines, _ = log(2)
    said = verify(lines, OTHER.key, SimVerifier()).faults
    assert said[0] == "it is the log of another host: line 1 does not follow from it"


def test_the_oldest_lines_may_be_removed_if_a_line_says_so() -> None:
    lines, end = log(4)
    said = "it begins at line 4, and does not say that earlier ones were removed"
    assert check(lines[3:]).faults == (said,)
    short, _ = follow(end, Kind.DROPPED, NOW, count=2)
    assert check([*lines[3:], short]).faults == (said,)
    line, end = follow(end, Kind.DROPPED, NOW, count=3)
    signed, _ = head(end, NOW, HOST)
    assert check([*lines[3:], line, signed]).faults == ()


def test_what_the_log_says_of_its_own_gaps_is_told() -> None:
    healed, end = follow(origin(HOST.key), Kind.HEALED, NOW, text="7 bytes")
    gone, end = follow(end, Kind.MISSING, NOW, text="line 9 is gone")
    lost, end = follow(end, Kind.UNWRITTEN, NOW, text="2 lines")
    report = check([healed, gone, lost])
    assert report.faults == ("line 2 says: line 9 is gone",)
    assert report.remarks == (
        "line 1 says: 7 bytes",
        "line 3 says: 2 lines",
        "its last 3 lines are not signed (yet)",
    )


def test_not_every_fault_of_many_is_named() -> None:
    report = check([b"x"] * 100)
    assert len(report.faults) == FAULTS_NAMED + 1
    assert report.faults[-1] == f"and {100 - FAULTS_NAMED} more faults"


LINES, END = log(9, heads=3)


@given(st.data())
def test_no_change_of_a_log_goes_unseen(data: st.DataObject) -> None:
    lines = list(LINES)
    match data.draw(st.sampled_from(["byte", "out", "swap", "twice", "anew", "cut"])):
        case "byte":
            at = data.draw(st.integers(0, len(lines) - 1))
            place = data.draw(st.integers(0, len(lines[at]) - 1))
            changed = bytes([lines[at][place] ^ data.draw(st.integers(1, 255))])
            lines[at] = lines[at][:place] + changed + lines[at][place + 1 :]
        case "out":
            del lines[data.draw(st.integers(0, len(lines) - 1))]
        case "swap":
            one, other = data.draw(
                st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True)
            )
            lines[one], lines[other] = lines[other], lines[one]
        case "twice":
            lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from(lines)))
        case "anew":
            at = data.draw(st.integers(0, len(lines) - 2))
            end = Chain(at, digest_of(lines[at - 1])) if at else origin(HOST.key)
            lines[at], end = follow(end, Kind.ORDER, NOW, order=decision(1000))
            for later in range(at + 1, len(lines)):
                old = read_line(lines[later])
                lines[later], end = follow(
                    end, old.kind, old.at_s, order=old.order, signature=old.signature
                )
        case "cut":
            lines = lines[: data.draw(st.integers(0, len(lines) - 1))]
    assert check(lines, END).faults != ()


# -- what is written


def test_the_same_decision_about_an_order_is_written_once() -> None:
    sifter = Sifter()
    assert sifter.take(decision(1), NOW) == decision(1)
    assert sifter.take(decision(1), NOW) is None
    assert sifter.take(decision(1, allowed=False), NOW) is not None
    assert sifter.take(decision(2), NOW) is not None


def test_a_site_that_floods_is_counted_and_leaves_the_others_their_lines() -> None:
    sifter = Sifter()
    flood = [decision(n, allowed=False, site="evil") for n in range(1000)]
    assert sum(sifter.take(each, NOW) is not None for each in flood) == REFUSALS
    assert sifter.take(decision(5000, allowed=False), NOW) == decision(5000, allowed=False)
    later = sifter.take(decision(6000, allowed=False, site="evil"), NOW + 60)
    assert later is not None
    assert later.left_out == 1000 - REFUSALS
    again = sifter.take(decision(6001, allowed=False, site="evil"), NOW + 120)
    assert again is not None
    assert again.left_out == 0


def test_what_was_left_out_may_be_written_when_it_comes_again() -> None:
    sifter = Sifter()
    for n in range(int(REFUSALS) + 1):
        last = decision(n, allowed=False, site="evil")
        sifter.take(last, NOW)
    assert sifter.take(last, NOW + 60) is not None


def test_an_owner_is_bounded_by_its_own_and_sites_are_not_remembered_for_ever() -> None:
    sifter = Sifter()
    written = [sifter.take(decision(n), NOW) is not None for n in range(int(GRANTED) + 50)]
    assert sum(written) == GRANTED
    other = msgspec.structs.replace(decision(9999), owner=KeyId("c" * 64))
    assert sifter.take(other, NOW) is not None
    for n in range(3 * SITES):
        for more in range(2):
            sifter.take(decision(n * 2 + more, site=f"s{n}"), NOW)
    assert len(sifter) <= SITES
