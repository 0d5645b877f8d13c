"""`overlayctl schema`: what a grid file may say, for editors."""

import typer

from overlayd.cli.session import Output, session_of
from overlayd.cli.show import yaml_text
from overlayd.config.schema import grid_schema_text


def schema(context: typer.Context) -> None:
    """Prints the JSON Schema of the grid file, for editors.

    Example: overlayctl schema > grid.schema.json
    """
    text = grid_schema_text()
    yaml = session_of(context).output is Output.YAML
    typer.echo(yaml_text(text.encode()) if yaml else text, nl=False)
