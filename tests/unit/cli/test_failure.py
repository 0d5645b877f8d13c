"""Errors for programs: one object on standard error, the exit code as for people."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from overlayd.cli.main import app, form_of


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("words", [("-o", "json", "peers"), ("peers", "--output=json")])
def test_a_refusal_is_json_on_standard_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = run("--peer", tmp_path / "s", *words)
    assert (ran.exit_code, ran.stdout) == (1, "")
    told = json.loads(ran.stderr)
    assert told["problem"] == f"no daemon answers on {tmp_path / 's'}: there is no such socket"
    assert told["would_work"].startswith("start overlayd on this host")
    assert set(told) == {"problem", "would_work"}


def test_a_refusal_is_yaml_on_standard_error(tmp_path: Path) -> None:
    ran = run("--peer", tmp_path / "s", "peers", "-o", "yaml")
    assert ran.exit_code == 1
    assert yaml.safe_load(ran.stderr)["problem"].startswith("no daemon answers on")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("peers", "--nonsense"), "No such option: --nonsense"),
        (("--nonsense", "peers"), "No such option: --nonsense"),
        (("show",), "Missing argument 'name'"),
        (("up",), "up makes what a grid file asks for, or what was quoted; name one of the two"),
        (("events", "--since", "x"), "Invalid value for '--since'"),
    ],
)
def test_a_mistake_in_what_was_typed_is_json_too(words: tuple[str, ...], problem: str) -> None:
    ran = run("-o", "json", *words)
    assert (ran.exit_code, ran.stdout) == (2, "")
    told = json.loads(ran.stderr)
    assert problem in told["problem"]
    assert "overlayctl" in told["would_work"] or "root" in told["would_work"]


def test_each_mistake_of_a_file_is_in_the_object(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("grid: a\nclusters:\n  x: {image: guest, cpus: many, memory: much}\n")
    ran = run("-o", "json", "place", file, "--hosts", tmp_path / "none")
    assert ran.exit_code == 2
    told = json.loads(ran.stderr)
    assert told["problem"].startswith(f"{file}:3:")
    assert told["details"][0].startswith(f"{file}:3:")


def test_what_makes_identities_says_its_errors_the_same_way(tmp_path: Path) -> None:
    ran = run("-o", "json", "site", "add", "ams", "--federation", tmp_path)
    assert ran.exit_code == 1
    assert "problem" in json.loads(ran.stderr)


def test_the_form_is_read_from_what_was_typed() -> None:
    assert form_of(["peers", "-o", "json"]) == "json"
    assert form_of(["-o", "json", "-o", "yaml", "peers"]) == "yaml"
    assert form_of(["peers", "-o"]) == "table"
    assert form_of(["-o", "nonsense", "peers"]) == "table"
    assert form_of(["host", "enrol", "ams", "h1", "--output", "json"]) == "table"
