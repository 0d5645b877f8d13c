"""Signed policies as files, and the numbers that the site's folder gives them."""

from pathlib import Path

import pytest

from overlayd.adapters.credentials import (
    add_site,
    create_federation,
    enrol_host,
    load_host,
    load_site,
    newest_policy,
    renew_host,
)
from overlayd.adapters.nacl_keys import NaclVerifier
from overlayd.adapters.policy_files import read_policy_file, sign_policy_file
from overlayd.config.policyfile import load_policy
from overlayd.ports.keys import KeyFileError
from protocol.policy.policy_record import check_policy
from protocol.trust.certificate import read_certificate
from protocol.trust.order import SignedOrder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    create_federation(tmp_path / "f")
    (tmp_path / "policy.toml").write_text(f'[vo.star]\nkey = "vo:{"9f" * 32}"\n')
    return add_site(tmp_path / "f", "ams")


def sign(site: Path, number: int = 0, output: Path | None = None) -> Path:
    said = load_policy(site.parents[2] / "policy.toml")
    return sign_policy_file(site, load_site(site), said, number, output).path


def test_what_was_signed_is_read_again_under_the_next_number(site: Path) -> None:
    assert newest_policy(site) == 0
    paths = [sign(site), sign(site)]
    assert [path.name for path in paths] == ["1.policy", "2.policy"]
    credentials = load_site(site)
    policy = check_policy(read_policy_file(paths[1]), credentials.federation, NaclVerifier())
    assert (policy.site, policy.number, policy.vos[0].name) == ("ams", 2, "star")
    assert newest_policy(site) == 2


def test_a_number_goes_up_and_the_folder_keeps_a_copy(site: Path, tmp_path: Path) -> None:
    assert sign(site, 7, tmp_path / "out" / "x") == tmp_path / "out" / "x"
    assert newest_policy(site) == 7
    with pytest.raises(KeyFileError, match=r"policy 7 of ams is signed already.* for 8"):
        sign(site, 7)


def test_a_file_that_is_none_is_refused_in_words(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("hello")
    with pytest.raises(KeyFileError, match="holds no signed policy; `overlayctl policy sign`"):
        read_policy_file(file)
    file.write_text(
        sign(site)
        .read_text()
        .replace("==", "=")
        .replace("-----BEGIN OVERLAYD POLICY-----\n", "-----BEGIN OVERLAYD POLICY-----\n?")
    )
    with pytest.raises(KeyFileError, match="is damaged"):
        read_policy_file(file)
    file.write_text("x" * (1 << 18))
    with pytest.raises(KeyFileError, match="larger than 128 KiB"):
        read_policy_file(file)


def test_a_hosts_certificate_names_the_newest_policy(site: Path) -> None:
    def least(folder: Path) -> int:
        return read_certificate(load_host(folder).chain[0]).policy

    before = enrol_host(site, "h1")
    assert least(before) == 0
    sign(site)
    sign(site)
    assert least(enrol_host(site, "h2")) == 2
    renew_host(site, "h1")
    assert least(before) == 2


def test_the_order_to_count_stays_the_same_as_long_as_its_stewards_do(site: Path) -> None:
    file, federation = site.parents[2] / "policy.toml", load_site(site).federation
    plain = file.read_text()

    def counting(*stewards: str) -> SignedOrder | None:
        file.write_text(f"[site]\nstewards = {list(stewards)}\n{plain}".replace("'", '"'))
        policy = check_policy(read_policy_file(sign(site)), federation, NaclVerifier())
        assert policy.stewards == stewards
        return policy.counting

    first = counting("a" * 64, "b" * 64, "c" * 64)
    assert first is not None
    assert counting("a" * 64, "b" * 64, "c" * 64) == first
    assert counting("a" * 64, "b" * 64, "d" * 64) != first
    assert counting() is None
