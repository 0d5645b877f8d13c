"""`overlayctl show GRID --network`: which host reaches which by what, and how well."""

from overlayd.api.views import GridView, PathsView, PathView
from overlayd.cli.client import decoded
from overlayd.cli.session import Session
from overlayd.cli.show import print_lines, print_table, unchanged
from protocol.trust.owner import plain


def show_paths(session: Session, views: list[bytes]) -> None:
    """Asks the hosts of each of these grids, and prints what they say."""
    grids = [decoded(view, GridView).grid for view in views]
    raw = [session.client.raw("GET", f"/paths/{grid.grid}") for grid in grids]
    if session.plain:
        unchanged(session, raw[0] if len(raw) == 1 else b"[" + b",".join(raw) + b"]")
        return
    for number, (grid, view) in enumerate(zip(grids, raw, strict=True)):
        if len(raw) > 1:
            said = f"{plain(grid.owner_site)}/{grid.name}, id {grid.grid}:"
            print_lines([said] if number == 0 else ["", said])
        _table(decoded(view, PathsView))


def _table(view: PathsView) -> None:
    print_table(
        ("network", "from", "to", "carried", "way", "mtu", "round trip", "lost", "sent to"),
        [
            (
                path.network,
                f"{path.site}/{path.host}",
                f"{path.to_site}/{path.to}",
                _carried(path),
                f"by {path.relay}" if path.relay else "direct",
                str(path.mtu),
                f"{path.round_trip_s * 1000:.3g} ms" if path.round_trip_s >= 0 else "-",
                f"{path.lost} of {path.probes}" if path.probes else "-",
                path.place or "-",
            )
            for path in view.paths
        ],
        f"{view.name} has no network that is on two hosts of those that answer",
        ("sent to", "lost"),
    )
    print_lines(f"{host} tells none of its paths: {why}" for host, why in view.silent)


def _carried(path: PathView) -> str:
    """`sealed, aes-256-gcm, native`, or what is missing."""
    if not path.loop:
        return path.carrier
    return f"{path.carrier}, {path.cipher or 'no keys yet'}, {path.loop}"
