"""The names that people log in to guests by."""

from typing import Annotated

from msgspec import Meta

LOGIN_PATTERN = r"^([a-z_][a-z0-9_-]{0,31})?(?!\n)$"
"""As useradd(8) takes them: none of them is an option for ssh, or two words. Empty: nobody said."""

Login = Annotated[str, Meta(pattern=LOGIN_PATTERN)]
