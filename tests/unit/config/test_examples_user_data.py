"""What the examples say to their guests: it is there, it is used, and it can be read by what reads it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted((EXAMPLES / "user-data").iterdir())


def named() -> set[Path]:
    """The files that the examples' clusters name."""
    grids = [yaml.safe_load(path.read_text()) for path in EXAMPLES.glob("*.yaml")]
    clusters = [cluster for grid in grids for cluster in grid["clusters"].values()]
    return {EXAMPLES / cluster["user-data"] for cluster in clusters if "user-data" in cluster}


def test_each_file_is_an_examples_and_each_example_has_its_files() -> None:
    assert named() == set(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_guest_can_read_it(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".sh":
        assert text.startswith("#!/bin/sh\n")
        subprocess.run(["/bin/sh", "-n", path], check=True)
        return
    assert text.startswith("#cloud-config\n")
    for file in yaml.safe_load(text).get("write_files", ()):
        content = file["content"]
        if content.startswith("#!/bin/sh"):
            subprocess.run(["/bin/sh", "-n"], input=content, text=True, check=True)
        elif file["path"].endswith(".py") or content.startswith("#!/usr/bin/python3"):
            compile(content, file["path"], "exec")


@pytest.mark.parametrize("name", ["mpi", "nfs", "web"])
def test_without_a_way_out_the_same_grid_is_placed(name: str) -> None:
    """The profile `offline` is for hosts without a way out and an image that has all it needs."""
    grid = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    inside = grid["profiles"]["offline"]["networks"]
    assert set(inside) == set(grid["networks"])
    assert not any(network["internet"] for network in inside.values())


def test_the_program_of_the_ranks_is_at_the_head_and_at_each_worker() -> None:
    head = (EXAMPLES / "user-data" / "mpi-head.yaml").read_text()
    (program,) = set(re.findall(r"python3 (/\S+\.py)$", head, re.MULTILINE))
    assert f"path: {program}" in head
    assert f">{program}" in (EXAMPLES / "user-data" / "mpi-worker.sh").read_text()
