"""Which addresses a way out has. Its rules are among the golden texts (test_netns_texts.py)."""

from netns.plan import way_text


def test_each_way_out_has_two_addresses_of_its_own() -> None:
    both = [way_text.ends(slot) for slot in (0, 1, way_text.SLOTS - 1)]
    assert both[0] == ("169.254.192.0", "169.254.192.1")
    assert both[1] == ("169.254.192.2", "169.254.192.3")
    assert both[2] == ("169.254.255.254", "169.254.255.255")
