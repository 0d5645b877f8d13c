"""`overlayctl identity`: keys of people, of VO admins and members. Works offline."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.adapters import identities
from overlayd.adapters.identities import Kind, Public
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.passphrase import PassphraseFile, new_passphrase, with_passphrase
from overlayd.cli.person import errors
from overlayd.cli.session import session_of
from overlayd.cli.show import answer

identity_app = typer.Typer(no_args_is_help=True, help="Keys of people: VO admins and members.")

Which = Annotated[str, typer.Argument(help="An identity's name, or its folder.", metavar="NAME")]
NoPassphrase = Annotated[
    bool, typer.Option("--no-passphrase", help="Ask for none: who has the file has the key.")
]


class IdentityView(msgspec.Struct, frozen=True):
    """An identity as it is shown."""

    kind: Kind
    name: str
    key: str
    words: str
    folder: str
    passphrase: bool


@identity_app.command("create")
def create(
    name: Annotated[
        str, typer.Argument(help="A name of your choice: a-z, 0-9 and hyphens.", show_default=False)
    ] = "",
    vo: Annotated[
        str, typer.Option(help="Make the key of a virtual organisation of this name.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Folder to make it in.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
    no_passphrase: NoPassphrase = False,
) -> None:
    """Makes an identity: a member's, or with --vo that of a virtual organisation, which is its admin's.

    A VO is this key, and a name that its admin chose. Sites admit the key; it signs grants for members.
    Back the folder up, and keep a VO's offline if you can: who has it may act as the VO.

    Example: overlayctl identity create ana

    Example: overlayctl identity create --vo star
    """
    if not (name or vo):
        raise failure(
            "an identity has a name", "overlayctl identity create ana, or --vo star", USAGE
        )
    kind, said = (Kind.VO, vo) if vo else (Kind.MEMBER, name)
    with errors():
        place = folder or identities.new_folder(name or vo)
        identities.require_free(place)
        passphrase = "" if no_passphrase else new_passphrase(name or vo, passphrase_file)
        public = identities.create(place, kind, said, passphrase)
    _say(public)
    typer.echo(f"wrote {place}, {'under the passphrase' if passphrase else 'without a passphrase'}")
    which = place.absolute() if folder else name or vo
    if vo:
        typer.echo(f"next: overlayctl identity export {which}, for the sites that are to admit it")
    else:
        typer.echo(f"next: overlayctl identity export {which}, for who is to grant it something")


@identity_app.command("show")
def show(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="An identity's name, or its folder; all if none is named.")
    ] = "",
) -> None:
    """Shows an identity's key, and the six words that stand for it on the phone.

    Who was given a key has the right one if the words are the same.

    Example: overlayctl identity show star
    """
    session = session_of(context)
    with errors():
        if name:
            one = _view(identities.folder_of(name))
            answer(session, msgspec.json.encode(one), IdentityView, _show)
            return
        views = [_view(identities.folder_of(known)) for known in identities.names()]
    if not views and not session.plain:
        typer.echo("there is no identity yet; overlayctl identity create NAME makes one")
    answer(session, msgspec.json.encode(views), list[IdentityView], _show_all)


@identity_app.command("export")
def export(name: Which) -> None:
    """Prints the public part in one line, to be pasted to others. Nothing in it is secret.

    Example: overlayctl identity export ana
    """
    with errors():
        typer.echo(identities.read_public(identities.folder_of(name)).line)


@identity_app.command("passwd")
def passwd(
    name: Which,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: Annotated[
        Path | None,
        typer.Option(help="File whose first line is the new one.", show_default=False),
    ] = None,
    no_passphrase: NoPassphrase = False,
) -> None:
    """Puts a key under another passphrase, or with --no-passphrase under none. The key stays.

    Copies of the file that were made before still open with the old one.

    Example: overlayctl identity passwd star
    """
    with errors():
        folder = identities.folder_of(name)

        def new() -> str:
            return "" if no_passphrase else new_passphrase(name, new_passphrase_file, "")

        with_passphrase(
            name, passphrase_file, lambda ask: identities.change_passphrase(folder, ask, new)
        )
        under = "the new passphrase" if identities.has_passphrase(folder) else "no passphrase"
        typer.echo(f"{name} is under {under}")


def _view(folder: Path) -> IdentityView:
    public, sealed = identities.read_public(folder), identities.has_passphrase(folder)
    return IdentityView(
        public.kind, public.name, public.key, public.words, str(folder), passphrase=sealed
    )


def _show_all(views: list[IdentityView]) -> None:
    for view in views:
        _show(view)


def _show(view: IdentityView) -> None:
    typer.echo(f"{view.kind} {view.name}\n  key: {view.key}\n  words: {view.words}")
    typer.echo(f"  folder: {view.folder}{'' if view.passphrase else ', without a passphrase'}")
    if view.kind is Kind.VO:
        typer.echo(f'  in a site\'s policy: [vo.{view.name}] with key = "vo:{view.key}"')


def _say(public: Public) -> None:
    typer.echo(f"{public.kind} {public.name}\n  key: {public.key}\n  words: {public.words}")
