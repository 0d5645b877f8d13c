"""`overlayctl image gc` says what went, what stays, and why."""

from asked_daemon import Daemon


def test_what_was_added_here_stays_and_that_is_said(daemon: Daemon) -> None:
    said = daemon.ask("image", "gc", "--keep", "0").stdout
    assert "nothing to remove" in said
    assert "0 B freed; 10 KiB that nobody here uses are left, of 0 B" in said
    assert "kept beyond it, since they were added here; `overlayctl image remove`" in said


def test_what_goes_is_named_with_what_it_frees(daemon: Daemon) -> None:
    daemon.host.images.fetched.update(daemon.host.images._images)
    said = daemon.ask("image", "gc", "--keep", "0").stdout
    assert "removed guest  10 KiB" in said
    assert "10 KiB freed; 0 B that nobody here uses are left" in said


def test_a_size_that_is_none_is_a_mistake_in_what_was_typed_and_said_once(daemon: Daemon) -> None:
    said = daemon.ask("image", "gc", "--keep", "much", code=2).stderr
    assert said == 'error: --keep: "much" is no size\n  would work: --keep 0, 512M or 20G\n'
