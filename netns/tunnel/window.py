"""Which counters of a session have been seen: the anti-replay window of RFC 6479.

A ring of words holds a bit for each counter. When a newer counter comes, only the words between the newest and
it are cleared, instead of shifting all bits. One word more than the window needs, so that the word which the
newest counter is in never holds the oldest that is still judged.
"""

WINDOW = 2_048
"""A counter this much below the newest, or lower, is refused unseen."""
_BITS = 64
_WORDS = WINDOW // _BITS + 1


class Window:
    """The counters of one session. `newest` is -1 before the first."""

    def __init__(self) -> None:
        self.newest = -1
        self._words = [0] * _WORDS

    def is_fresh(self, counter: int) -> bool:
        """Whether it was not taken yet and is not too old to tell."""
        if counter > self.newest:
            return True
        if counter <= self.newest - WINDOW:
            return False
        return not self._words[counter // _BITS % _WORDS] >> (counter % _BITS) & 1

    def take(self, counter: int) -> None:
        """Notes a counter that is fresh, once its frame has opened."""
        if counter > self.newest:
            top, word = self.newest // _BITS, counter // _BITS
            for cleared in range(max(top + 1, word - _WORDS + 1), word + 1):
                self._words[cleared % _WORDS] = 0
            self.newest = counter
        self._words[counter // _BITS % _WORDS] |= 1 << counter % _BITS
