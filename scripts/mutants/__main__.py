"""The command: which rooms, which mutants, and what is said of them.

scripts/mutants/equivalent.txt lists mutants that nobody could notice, one a line. Each is named by its text,
so that the list outlives other changes:

    protocol/trust/order.py: the source line: old -> new — why nothing differs
"""

import argparse
import ast
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from mutants.operators import mutants
from mutants.run import Site, Unfit, judged, watched

PACKAGES = ("protocol", "netns", "overlayd")
EQUIVALENT = Path("scripts/mutants/equivalent.txt")


def main() -> int:
    """The status: 0, 1 if more survive than `--most` allows, 2 if nothing could be judged."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description="Mutation tests of rooms.")
    parser.add_argument(
        "rooms", nargs="+", metavar="ROOM", help="trust, protocol/trust, or one file"
    )
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="in place of tests/unit/ROOM")
    parser.add_argument("--jobs", type=_count, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--sample", type=_count, metavar="N", help="only N mutants of each room")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the sample")
    parser.add_argument("--most", type=float, metavar="PERCENT", help="status 1 if more survive")
    args = parser.parse_args()
    try:
        shares = [_room(Path.cwd(), name, args) for name in args.rooms]
    except Unfit as why:
        print(f"mutate: {why}", file=sys.stderr)
        return 2
    return int(args.most is not None and max(shares) > args.most)


def _count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _room(top: Path, name: str, args: argparse.Namespace) -> float:
    """Judges one room and prints its table. Answers the per cent that survives."""
    files = _files(top, name)
    tests = args.tests or [f"tests/unit/{files[0].parts[1]}"]
    for path in tests:
        if not (top / path).exists():
            raise Unfit(f"{name}: there is no {path}; name its tests with --tests")
    texts = {file: (top / file).read_text() for file in files}
    sites = [
        Site(f, tree, m) for f in files for tree in [ast.parse(texts[f])] for m in mutants(tree)
    ]
    known = _equivalent(top)
    names = {id(site): _name(site, texts[site.path]) for site in sites}
    stale = [each for each in known if _of(each, files) and each not in names.values()]
    sites = [site for site in sites if names[id(site)] not in known]
    if args.sample is not None and args.sample < len(sites):
        dice = Random(args.seed)  # noqa: S311  which mutants are looked at is no secret
        chosen = set(dice.sample(range(len(sites)), args.sample))
        sites = [site for index, site in enumerate(sites) if index in chosen]
    left: list[tuple[Site, str]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        suite = watched(top, files, tests, Path(folder))
        verdicts = judged(top, sites, suite, max(1, args.jobs), Path(folder))
        for done, (site, why) in enumerate(verdicts, 1):
            if why is not None:
                left.append((site, why))
            if sys.stderr.isatty():
                print(
                    f"\r{name}: {done} of {len(sites)}, {len(left)} survive",
                    end="",
                    file=sys.stderr,
                )
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
    share = _table(name, files, sites, left)
    for site, why in sorted(left, key=lambda each: (each[0].path, each[0].mutant.line)):
        line = texts[site.path].splitlines()[site.mutant.line - 1].strip()
        print(f"{site.path}:{site.mutant.line}  {site.mutant.what}  ({why})\n    {line}")
    for each in stale:
        print(f"{EQUIVALENT}: no longer a mutant: {each}")
    return share


def _files(top: Path, name: str) -> list[Path]:
    """The sources of a room, relative to the checkout."""
    for path in [Path(name), *(Path(package) / name for package in PACKAGES)]:
        if len(path.parts) > 1 and path.suffix == ".py" and (top / path).is_file():
            return [path]
        found = sorted(each.relative_to(top) for each in (top / path).rglob("*.py"))
        if len(path.parts) > 1 and found:
            return found
    raise Unfit(f"there is no room or source file {name}; try one below {', '.join(PACKAGES)}")


def _name(site: Site, text: str) -> str:
    return f"{site.path}: {text.splitlines()[site.mutant.line - 1].strip()}: {site.mutant.what}"


def _of(name: str, files: list[Path]) -> bool:
    return any(name.startswith(f"{file}: ") for file in files)


def _equivalent(top: Path) -> list[str]:
    """The names of the mutants that nobody could notice."""
    path = top / EQUIVALENT
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [line.rpartition(" — ") for line in lines if line and not line.startswith("#")]
    if any(not name for name, _, _ in entries):
        raise Unfit(f"{EQUIVALENT}: each mutant needs a reason behind a dash ( — )")
    return [name for name, _, _ in entries]


def _table(name: str, files: list[Path], sites: list[Site], left: list[tuple[Site, str]]) -> float:
    made, alive = Counter(site.path for site in sites), Counter(site.path for site, _ in left)
    rows = [(str(file), made[file], alive[file]) for file in files if made[file]]
    rows.append((name, made.total(), alive.total()))
    width = max(len(row[0]) for row in rows)
    print(f"{'':{width}}  mutants  killed  survived   surviving")
    for title, count, lived in rows:
        share = 100 * lived / max(1, count)
        print(f"{title:{width}}  {count:7}  {count - lived:6}  {lived:8}  {share:8.1f} %")
    return 100 * alive.total() / max(1, made.total())


if __name__ == "__main__":
    sys.exit(main())
