"""What a host offers. That the file says where it is wrong is in test_daemonfile.py."""

import pytest

from overlayd.config.offer import DEVICES_MAX, LABELS_MAX, OfferTable, offer_problems
from overlayd.config.values import Cpus, DiskRate, Label, Operations, Rate, Size


def test_what_is_left_out_is_offered_whole_or_not_counted() -> None:
    assert list(offer_problems(OfferTable())) == []
    whole, uncounted = "leave it out to offer all of it", "leave it out to not count it"
    for offer, key, said in (
        (OfferTable(cpus=Cpus()), "cpus", f"found 0; {whole}"),
        (OfferTable(memory=Size()), "memory", f"found 0 B; {whole}"),
        (OfferTable(disk=Size()), "disk", f"found 0 B; {whole}"),
        (OfferTable(network_rate=Rate()), "network-rate", f"found 0 bit/s; {uncounted}"),
        (OfferTable(disk_rate=DiskRate()), "disk-rate", f"found 0 B/s; {uncounted}"),
        (
            OfferTable(disk_operations=Operations()),
            "disk-operations",
            f"found 0 operations/s; {uncounted}",
        ),
    ):
        assert list(offer_problems(offer)) == [(("offer", key), said)]


@pytest.mark.parametrize(
    ("offer", "at", "said"),
    [
        (OfferTable(labels=(Label("ssd"),) * 2), ("labels", 1), 'found "ssd" a second time'),
        (OfferTable(devices={"GPU": 1}), ("devices", "GPU"), "a name is 1 to 40 lower-case"),
        (OfferTable(devices={"gpu": 0}), ("devices", "gpu"), f"allowed are 1 to {DEVICES_MAX}"),
        (
            OfferTable(labels=tuple(Label(f"l{i}") for i in range(LABELS_MAX + 1))),
            ("labels",),
            f"at most {LABELS_MAX} are allowed",
        ),
        (
            OfferTable(devices={f"d{i}": 1 for i in range(LABELS_MAX + 1)}),
            ("devices",),
            f"at most {LABELS_MAX} are allowed",
        ),
    ],
)
def test_labels_and_devices(offer: OfferTable, at: tuple[str, ...], said: str) -> None:
    ((path, message),) = offer_problems(offer)
    assert path == ("offer", *at)
    assert said in message
