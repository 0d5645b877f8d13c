"""What was asked of registers, and answered: a history for each, to be checked for linearizability."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from linearizable import Operation, order_of

from protocol.grid.record import GridRecord, Register, Void
from protocol.grid.steps import Finish, Step, apply
from protocol.register.asking import Askings, Settled
from protocol.terms.ids import GridId

Value = tuple[GridRecord | None, int, tuple[str, ...]]
"""A register: its record, the first attempt that is not void, and the extensions that are."""
NOTHING: Value = (None, 0, ())
_AT_S = 1_000_000.0


def value_of(register: Register) -> Value:
    """Without its order, which is always the same, and the time until which something is remembered."""
    return register.record, register.first, tuple(void.extension for void in register.declined)


class Histories:
    """All that any peer asked of any register, in the order in which it happened."""

    def __init__(self) -> None:
        self.by_register: dict[str, list[Operation[Value, Step]]] = {}
        self._running: dict[tuple[int, Any], tuple[Any, Operation[Value, Step] | None]] = {}
        self._moment = 0

    def _now(self) -> int:
        self._moment += 1
        return self._moment

    def began(self, asking: Any, purpose: Any, register: str, step: Step | None) -> None:
        operation = Operation[Value, Step](step or Finish(), self._now())
        history = self.by_register.setdefault(register, [])
        history.append(operation)
        if step is not None:
            # Who asks one steward in vain asks the next; the first may do it all the same, then or later.
            history.append(Operation(step, operation.began))
        # The asking is kept, so that no other has its id.
        self._running[id(asking), purpose] = (asking, operation)

    def ended(self, asking: Any, outcomes: list[Any]) -> None:
        for outcome in outcomes:
            _, operation = self._running.pop((id(asking), outcome.purpose), (None, None))
            if operation is not None and isinstance(outcome, Settled):
                decision = outcome.decision
                operation.ended = self._now()
                operation.answer = value_of(decision.register) if decision else NOTHING

    @property
    def answered(self) -> int:
        return sum(one.ended is not None for each in self.by_register.values() for one in each)

    def check(self, counts: Callable[[str], bool] = lambda register: True) -> None:
        """Asserts that the history of each register that counts is linearizable."""
        for register, history in self.by_register.items():
            assert not counts(register) or order_of(history, NOTHING, after) is not None, (
                f"register {register}: no order explains\n"
                + "\n".join(told(one) for one in history)
            )


def after(value: Value, step: Step) -> Value:
    """What a register is after a step, whether or not its owner ordered it."""
    record, first, declined = value
    voids = tuple(Void(GridId(extension), _AT_S * 2) for extension in declined)
    return value_of(apply(step, Register(record, first, voids), _AT_S))


def told(operation: Operation[Value, Step]) -> str:
    """One operation in a line."""
    end = f"{operation.ended:5}" if operation.ended is not None else "  ..."
    answer = ""
    if operation.answer is not None:
        record, first, declined = operation.answer
        epoch = f"{record.id} epoch {record.epoch} {record.state}" if record else "no grid"
        answer = f"{epoch}, first {first}, declined {len(declined)}"
    step = type(operation.call).__name__
    return f"  {operation.began:5} to {end}  {step:8} {answer}"


@contextmanager
def recorded() -> Iterator[Histories]:
    """What every peer of this process asks while this lasts."""
    histories = Histories()
    ask, handle, tick = Askings.ask, Askings.handle, Askings.tick

    def asked(self: Any, *given: Any, **named: Any) -> Any:
        said = signature(ask).bind(self, *given, **named).arguments
        # What one host shows is some decision, not the newest.
        looks_at_hosts = said.get("shown", False)
        if not self.busy(said["purpose"]) and said["stewards"] and not looks_at_hosts:
            histories.began(self, said["purpose"], said["register"], said["step"])
        return ask(self, *given, **named)

    def handled(self: Any, *given: Any) -> Any:
        effects, outcomes = handle(self, *given)
        histories.ended(self, outcomes)
        return effects, outcomes

    def ticked(self: Any, now: float) -> Any:
        effects, outcomes = tick(self, now)
        histories.ended(self, outcomes)
        return effects, outcomes

    Askings.ask, Askings.handle, Askings.tick = asked, handled, ticked  # type: ignore[method-assign]
    try:
        yield histories
    finally:
        Askings.ask, Askings.handle, Askings.tick = ask, handle, tick  # type: ignore[method-assign]
