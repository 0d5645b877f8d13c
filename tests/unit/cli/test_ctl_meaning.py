"""Which image a name means, as it is written in grid files and on command lines."""

from overlayd.api.views import ImageHost, ImageRow
from overlayd.cli.meaning import meant
from protocol.grid.model import ImageRef

OURS, THEIRS = "a" * 64, "b" * 64
HERE = (ImageHost("h1", "ams", "self", 0.0),)
NEAR = (ImageHost("h2", "ams", "alive", 0.0),)
FAR = (ImageHost("h9", "rio", "alive", 0.0),)


def row(name: str, digest: str, hosts: tuple[ImageHost, ...] = HERE, ours: bool = True) -> ImageRow:
    """An image that somebody at those hosts gave the name."""
    sites = tuple(host.site for host in hosts)
    return ImageRow(name, digest, 1, hosts is HERE, hosts, ours=ours, named_by=sites)


def test_a_name_is_what_this_host_calls_so_whatever_others_do() -> None:
    rows = [row("guest", OURS), row("guest", THEIRS, FAR, ours=False)]
    assert meant("guest", rows) == (ImageRef("guest", OURS), "")
    assert meant("guest", rows[::-1]) == (ImageRef("guest", OURS), "")


def test_what_only_another_site_calls_so_is_to_be_named_by_its_digest() -> None:
    rows = [row("other", OURS), row("guest", THEIRS, FAR, ours=False)]
    assert meant("guest", rows)[1] == (
        'found "guest", which no host of this site calls an image; others do: '
        "guest@sha256:bbbbbbbbbbbb on h9 of rio; write the one you mean, digest and all"
    )
    assert meant("guest@sha256:bbbbbbbbbbbb", rows) == (ImageRef("guest", THEIRS), "")
    assert meant(THEIRS, rows) == (ImageRef(THEIRS, THEIRS), "")
    assert meant("bbbbbbbb", rows) == (ImageRef("bbbbbbbb", THEIRS), "")


def test_a_digest_counts_whatever_the_name_before_it_means() -> None:
    rows = [row("guest", OURS), row("guest", THEIRS, FAR, ours=False)]
    assert meant(f"guest@sha256:{THEIRS}", rows) == (ImageRef("guest", THEIRS), "")
    assert meant("guest@sha256:cccccccc", rows)[1].startswith('found "guest@sha256:cccccccc"')


def test_a_name_that_hosts_of_this_site_mean_differently_is_not_guessed_at() -> None:
    rows = [row("guest", OURS), row("guest", THEIRS, NEAR)]
    assert meant("guest", rows)[1] == (
        'found "guest", which is 2 images: guest@sha256:aaaaaaaaaaaa on h1 of ams and'
        " guest@sha256:bbbbbbbbbbbb on h2 of ams; write the one you mean, digest and all"
    )
    assert meant(THEIRS, rows) == (ImageRef(THEIRS, THEIRS), "")


def test_a_name_is_what_the_site_of_who_asks_calls_so_where_this_one_has_none() -> None:
    rows = [row("other", OURS), row("guest", THEIRS, FAR, ours=False)]
    assert meant("guest", rows, "rio") == (ImageRef("guest", THEIRS), "")
    assert meant("guest", rows, "lux")[1].startswith(
        'found "guest", which no host of this site or of lux calls an image; others do: '
    )
    heard = ImageRow("guest", THEIRS, 1, False, FAR)
    assert meant("guest", [heard], "rio")[1].endswith(
        "others do: guest@sha256:bbbbbbbbbbbb on h9 of rio; write the one you mean, digest and all"
    ), "a grid brought it there under that name, and nobody gave it"


def test_a_name_that_both_sites_mean_differently_is_asked_about() -> None:
    rows = [row("guest", OURS), row("guest", THEIRS, FAR, ours=False)]
    assert meant("guest", rows, "ams") == (ImageRef("guest", OURS), "")
    assert meant("guest", rows, "rio")[1] == (
        'found "guest", which is 2 images: guest@sha256:aaaaaaaaaaaa on h1 of ams and'
        " guest@sha256:bbbbbbbbbbbb on h9 of rio; write the one you mean, digest and all"
    )
    assert meant("guest@sha256:bbbbbbbb", rows, "rio") == (ImageRef("guest", THEIRS), "")
    both = ImageRow("guest", OURS, 1, True, (*HERE, *FAR), ours=True, named_by=("ams", "rio"))
    assert meant("guest", [both], "rio") == (ImageRef("guest", OURS), "")


def test_eight_digits_of_a_digest_are_enough_if_one_image_has_them() -> None:
    one, two = "abcdef01" + "0" * 56, "abcdef01" + "1" * 56
    rows = [row("x", one), row("", two)]
    assert meant("abcdef010", rows) == (ImageRef("abcdef010", one), "")
    assert meant("abcdef0", rows)[1].startswith('found "abcdef0", which is no image')
    assert meant("abcdef01", rows)[1].startswith('found "abcdef01", which is 2 images')
    named = row("abcdef01", "c" * 64)
    assert meant("abcdef01", [*rows, named])[0].digest == "c" * 64


def test_where_no_host_has_an_image() -> None:
    assert meant("guest", [])[1] == (
        'found "guest"; no host has an image yet, overlayctl image add adds one'
    )
