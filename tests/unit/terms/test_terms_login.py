"""Names that people log in by, from strangers: none of them is more than a name."""

import pytest

from protocol.capacity.advert import ImageLabel
from protocol.terms.ids import Digest
from protocol.wire.codec import Malformed, decode, encode

LABEL = ImageLabel("debian", Digest("0" * 64), 1)


@pytest.mark.parametrize("name", ["", "root", "ec2-user", "_apt", "u" * 32])
def test_names_of_users_are_taken(name: str) -> None:
    label = ImageLabel(LABEL.name, LABEL.digest, 1, default_user=name)
    assert decode(encode(label), ImageLabel) == label


@pytest.mark.parametrize("name", ["-oProxyCommand=sh", "a b", "root\n", "Ünal", "u" * 33, "a@b"])
def test_what_is_no_name_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        decode(encode(ImageLabel(LABEL.name, LABEL.digest, 1, default_user=name)), ImageLabel)
