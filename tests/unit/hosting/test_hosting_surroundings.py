"""What a host says of itself follows from what is around it; without a network, nothing is in its way."""

from hosting_world import LATER, One

from protocol.hosting.surroundings import Alone
from protocol.terms.coordinate import NOWHERE


def test_a_host_without_a_network_is_reached_by_all_and_takes_reservations() -> None:
    one = One()
    one.start(around=Alone())
    quote = one.quote(LATER)
    assert (quote.hidden, quote.refused, quote.coordinate) == (False, None, None)
    assert one.host.advert().here == NOWHERE
