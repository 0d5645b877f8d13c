"""Coverage-guided fuzzing (atheris, which is libFuzzer for Python): the same worlds as test_fuzz_machines.

    ./scripts/fuzz node --seconds 600       a node in a world made of bytes
    ./scripts/fuzz codec --seconds 600      frames and bodies of records
    ./scripts/fuzz archive --seconds 600    an initramfs that is unpacked
    ./scripts/fuzz sealed --seconds 600     sealed frames: headers, windows, cutting and joining

What it finds is kept in .cache/fuzz and tried again the next time. A failure prints the exception and the file
of bytes that causes it; `./scripts/fuzz node FILE` runs that alone.
"""

import argparse
import sys
from pathlib import Path

import atheris

TOP = Path(__file__).resolve().parents[2]

with atheris.instrument_imports(include=["protocol", "overlayd.adapters.imports", "netns.tunnel"]):
    from archives import unpack_archive
    from fuzzed_world import FRAMES, read_frame, run_world
    from sealed_frames import read_sealed

RUNS = {"node": run_world, "codec": read_frame, "archive": unpack_archive, "sealed": read_sealed}


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=list(RUNS))
    parser.add_argument("file", nargs="?", help="one file of bytes, to run alone")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=TOP / ".cache" / "fuzz")
    given = parser.parse_args()
    run = RUNS[given.what]
    if given.file is not None:
        run(Path(given.file).read_bytes())
        return
    corpus = given.corpus / given.what
    corpus.mkdir(parents=True, exist_ok=True)
    if given.what == "codec":
        for number, frame in enumerate(FRAMES):
            (corpus / f"golden-{number}").write_bytes(frame)
    options = [
        f"-max_total_time={given.seconds}",
        "-max_len=4096",
        "-print_final_stats=1",
        "-len_control=0",
    ]
    options.append(f"-artifact_prefix={given.corpus}/failure-{given.what}-")
    atheris.Setup([sys.argv[0], *options, str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
