"""Two ends of one stream, and a way between them that does what a test says."""

from protocol.stream.end import End
from protocol.stream.limits import STREAM_WINDOW_BYTES
from protocol.stream.messages import Flow, StreamData

ROUNDS = 3000


class Pair:
    """Side 0 asked, side 1 carries. `way[side]` is what that side has said and the other has not heard."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends = (End("s", False, self.now), End("s", True, self.now))
        self.way: tuple[list[Flow], list[Flow]] = ([], self.ends[1].greet(self.now))
        self.put, self.got, self.eof = [b"", b""], [b"", b""], [False, False]

    def write(self, side: int, data: bytes) -> None:
        """Writes what there is room for, at once, and the rest as there is some."""
        while data:
            room = self.ends[side].room
            if not room:
                self.carry(side, 100)
                self.read(1 - side)
                self.carry(1 - side, 100)
                self.turn()
                continue
            now, data = data[:room], data[room:]
            self.put[side] += now
            self.way[side].extend(self.ends[side].write(now, self.now))

    def end(self, side: int) -> None:
        self.way[side].extend(self.ends[side].end(self.now))

    def read(self, side: int) -> None:
        end = self.ends[side]
        if data := end.take():
            self.got[side] += data
            self.way[side].extend(end.freed(len(data), STREAM_WINDOW_BYTES, self.now))
        if end.readable and not data:
            self.eof[side] = True
            self.way[side].extend(end.freed(0, STREAM_WINDOW_BYTES, self.now))

    def carry(self, side: int, most: int) -> None:
        for _ in range(min(most, len(self.way[side]))):
            message = self.way[side].pop(0)
            end = self.ends[1 - side]
            if end.over is None:
                self.way[1 - side].extend(end.handle(message, self.now))
            elif end.over.why is None and isinstance(message, StreamData):
                self.way[1 - side].append(end.farewell(self.now))

    def tick(self, side: int) -> None:
        self.way[side].extend(self.ends[side].tick(self.now))

    def turn(self) -> None:
        """Time passes until something is due."""
        due = min(end.next_s() for end in self.ends)
        self.now = max(self.now, due) if due < float("inf") else self.now + 0.1
        self.tick(0)
        self.tick(1)

    def step(self, what: str, side: int, amount: int) -> None:
        way = self.way[side]
        match what:
            case "write":
                room = min(amount, self.ends[side].room)
                if room:
                    self.write(
                        side,
                        bytes(
                            i % 251 for i in range(len(self.put[side]), len(self.put[side]) + room)
                        ),
                    )
            case "read":
                self.read(side)
            case "carry":
                self.carry(side, amount)
            case "drop":
                del way[:amount]
            case "again":
                way.extend(way[:amount])
            case "swap":
                way.reverse()
            case "pass":
                self.now += amount / 1000
                self.tick(0)
                self.tick(1)
            case "end":
                self.end(side)
            case _:
                raise AssertionError(what)

    def settle(self) -> None:
        """Nothing is lost any more, and both sides read, until nothing is left to do."""
        for _ in range(ROUNDS):
            for side in (0, 1):
                self.carry(side, len(self.way[side]))
                self.read(side)
            if any(self.way):
                continue
            if all(end.over is not None for end in self.ends):
                return
            if self.got[0] == self.put[1] and self.got[1] == self.put[0] and self._idle():
                return
            self.turn()
        raise AssertionError("it never settles")

    def check(self) -> None:
        for end in self.ends:
            end.check()

    def _idle(self) -> bool:
        """Whether nothing but a beat is due soon."""
        return min(end.next_s() for end in self.ends) > self.now + 9.0
