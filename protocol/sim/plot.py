"""A run as one picture (SVG): how news got round, how deaths became known, neighbours, bytes by kind."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.sim.graph import degrees
from protocol.sim.report import quantile
from protocol.sim.run import Outcome

_POINTS = 200
_KINDS = 10
_MISSING = """\
--plot needs leather, which draws the picture; what would work: pip install 'overlayd[sim]', or scripts/setup"""


class NoPlot(Exception):
    """The picture cannot be drawn. The text says why, and what would help."""


def draw(outcome: Outcome, path: str) -> None:
    """Writes the picture. Raises NoPlot."""
    leather = _leather()
    world = outcome.world
    tellings = world.meter.tellings
    delays = sorted(delay for telling in tellings for delay in telling.heard_s.values())
    audience = len(delays) + sum(len(world.meter.missed(telling)) for telling in tellings)
    deaths = [death for death in world.meter.deaths if death.known_s]
    known = sorted(delay for death in deaths for delay in death.known_s)
    counts = Counter(degree for degree, _ in degrees(world))
    seconds = max(1.0, world.elapsed_s) * len(world.peers)
    charts = []
    for title, figures, of in (
        (
            f"news: % of peers reached, by seconds ({len(tellings)} told)",
            delays,
            audience,
        ),
        (f"deaths: % of who came to know, by seconds ({len(deaths)} died)", known, len(known)),
    ):
        chart = leather.Chart(title)
        chart.add_line(_risen(figures, of))
        chart.add_y_scale(0, 100)
        charts.append(chart)
    chart = leather.Chart("neighbours of a peer: peers that have so many")
    most = max(counts, default=0)
    chart.add_columns([(str(degree), counts[degree]) for degree in range(most + 1)])
    charts.append(chart)
    chart = leather.Chart("bytes a second sent by each peer, by kind of message")
    kinds = world.trace.kinds[:_KINDS] or [type(None)]
    chart.add_bars(
        [
            (world.trace.bytes_of(kind) / seconds if world.trace.kinds else 0.0, kind.__name__)
            for kind in reversed(kinds)
        ]
    )
    charts.append(chart)
    grid = leather.Grid()
    for chart in charts:
        grid.add_one(chart)
    try:
        Path(path).write_text(grid.to_svg(), encoding="utf-8")
    except OSError as error:
        raise NoPlot(f"--plot {path}: {error}") from None


def _risen(ordered: Sequence[float], of: int) -> list[tuple[float, float]]:
    """At most _POINTS pairs (seconds, per cent of `of` by then); a flat line if nothing happened."""
    if not ordered or not of:
        return [(0.0, 0.0), (1.0, 0.0)]
    shares = [i / _POINTS for i in range(_POINTS)]
    points = [(quantile(ordered, share), 100.0 * share * len(ordered) / of) for share in shares]
    return [(0.0, 0.0), *points, (ordered[-1], 100.0 * len(ordered) / of)]


def _leather() -> Any:
    try:
        import leather
    except ImportError:
        raise NoPlot(_MISSING) from None
    return leather
