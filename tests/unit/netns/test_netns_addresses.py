"""This host's addresses, as its kernel tells them."""

from netns.kernel.addresses import addresses, drain, listener, source_towards


def test_the_loopback_is_there() -> None:
    (lo,) = [one for one in addresses() if one.address == "127.0.0.1"]
    assert lo.loopback
    assert lo.link == "lo"
    assert lo.mtu >= 1280


def test_the_kernel_says_from_where_it_would_send() -> None:
    assert source_towards("127.0.0.1") == "127.0.0.1"
    assert source_towards("240.0.0.1") in ("", *(one.address for one in addresses()))


def test_an_ear_without_news_is_empty() -> None:
    with listener() as ear:
        drain(ear)
