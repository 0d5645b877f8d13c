"""What other stewards signed, remembered so that whoever contradicts itself is found out.

The two halves of a lie are often told to different peers: "nothing accepted" to the steward that proposes, and
what it had accepted to whoever asks. So certificates, as evidence or as answers, are looked at here too. It is
in memory only, and bounded: a few statements of each steward of the registers heard of last.
"""

from protocol.grid.decision import Decision, votes_in
from protocol.grid.equivocation import Equivocation, contradiction
from protocol.grid.statement import Said, Statement, Word, read_statement
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import WITNESSED_EACH, WITNESSED_REGISTERS, WITNESSED_STEWARDS
from protocol.trust.signing import Untrusted, Verifier

_Heard = list[tuple[Said, Statement]]


class Witness:
    """Statements whose signatures are right, of all registers that this peer had to do with lately."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._heard: dict[str, dict[PeerId, _Heard]] = {}
        """By register and steward, those heard of last at the end; of each the newest statement at the end."""
        self._found: list[Equivocation] = []

    def saw(self, steward: PeerId, word: Word, payload: bytes, signature: bytes) -> None:
        """A steward signed that; who calls has checked it. One that names no store proves nothing, ever."""
        statement = Statement(word, payload, signature)
        try:
            said = read_statement(statement)
        except Untrusted:
            return
        stewards = self._heard.pop(said.register, {})
        self._heard[said.register] = stewards
        if len(self._heard) > WITNESSED_REGISTERS:
            del self._heard[next(iter(self._heard))]
        heard = stewards[steward] = stewards.pop(steward, [])
        if len(stewards) > WITNESSED_STEWARDS:
            del stewards[next(iter(stewards))]
        if any(before == said for before, _ in heard):
            return
        for before, earlier in heard:
            if contradiction(before, said):
                self._found.append(Equivocation(steward, earlier, statement))
                break
        heard.append((said, statement))
        del heard[:-WITNESSED_EACH]

    def certified(self, decision: Decision) -> None:
        """A certificate that is believed. Each of its votes is looked at, and those of its seals."""
        for steward, said, signature in votes_in(decision):
            if self._verifier.verify(KeyId(steward), Word.ACCEPTANCE, said, signature):
                self.saw(steward, Word.ACCEPTANCE, said, signature)

    def newest(self, register: str, steward: PeerId) -> Statement | None:
        """What that steward signed of a register last, as far as was heard; None if nothing was."""
        heard = self._heard.get(register, {}).get(steward)
        return max(heard, key=lambda each: _rank(each[0]))[1] if heard else None

    def pop_found(self) -> list[Equivocation]:
        """The contradictions that were found since the last call."""
        found, self._found = self._found, []
        return found

    def check(self) -> None:
        """All memory is bounded."""
        assert len(self._heard) <= WITNESSED_REGISTERS
        for stewards in self._heard.values():
            assert len(stewards) <= WITNESSED_STEWARDS
            assert all(len(heard) <= WITNESSED_EACH for heard in stewards.values())


def _rank(said: Said) -> tuple[int, int, str, bool]:
    ballot = said.promised or said.accepted
    assert ballot is not None
    return (said.term, ballot.round, ballot.steward, said.promised is None)
