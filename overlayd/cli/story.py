"""The story of a grid on the screen: when, which host tells it, and what happened."""

from overlayd.api.views import GridView
from overlayd.cli.show import print_lines
from overlayd.cli.words import moment

SHOWN = 5
"""How many lines `show` has; `explain` has all."""


def print_story(view: GridView, most: int | None = None) -> None:
    """Prints the newest `most` lines of what happened to a grid, or all; nothing if there are none."""
    lines = view.story if most is None else view.story[-most:]
    if not lines:
        return
    head = "what happened to it"
    if len(lines) < len(view.story):
        head += f" lately; `overlayctl explain {view.grid.name}` tells more"
    print_lines(["", f"{head}:"])
    wide = max(len(line.host) for line in lines)
    for line in lines:
        print_lines([f"  {moment(line.at_s)}  {line.host:<{wide}}  {line.text}"])
