"""`python -m netns`."""

from netns.cli import app

app(prog_name="python -m netns")
