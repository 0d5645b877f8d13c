"""Requests of a peer: kept within bounds, found by what they are about."""

from protocol.requesting.requests import Requests, answered
from protocol.terms.ids import RequestId
from protocol.terms.limits import REQUESTS_KEPT


def test_requests_are_bounded_and_the_oldest_answer_goes_first() -> None:
    requests = Requests()
    for number in range(REQUESTS_KEPT + 5):
        requests.refused(answered(RequestId(f"r{number}"), "up", "shop", ("no",), 0.0))
    assert len(requests.views()) == REQUESTS_KEPT
    assert RequestId("r4") not in requests
    assert RequestId("r5") in requests
    assert requests.next_deadline() is None
