"""Every message there is, and the bulk ones, which the node only passes on to the shell."""

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from protocol.broadcast.messages import BroadcastMessage, Comparison
from protocol.contract.attaching import AttachMessage
from protocol.contract.messages import NegotiationMessage
from protocol.image.commit import CommitView
from protocol.image.fetching import ImagePiece
from protocol.membership.messages import Hello, MembershipMessage, Unwelcome
from protocol.policy.receipts import LEASES_TOLD, LeaseUsage
from protocol.register.messages import ToAsker, ToSteward
from protocol.relay.messages import RelayMessage
from protocol.stream.messages import StreamMessage
from protocol.terms.ids import Digest, GridId
from protocol.terms.paths import PATHS_MOST, PathTold
from protocol.terms.ranges import Amount, Count, Moment, Name, Said, cut
from protocol.trust.order import SignedOrder
from protocol.tunnel_keys.messages import TunnelKeysMessage
from protocol.tunnel_paths.messages import TunnelPathsMessage


class ImageAsk(msgspec.Struct, frozen=True, tag="image-ask"):
    """Send me that part of an image. `session` tells answers to different fetches apart."""

    session: Name
    digest: Digest
    offset: Amount
    """In the content, or in all the leaves, in bytes; 0 for the summary."""
    length: Amount
    piece: ImagePiece = ImagePiece.CONTENT


class ImageChunk(msgspec.Struct, frozen=True, tag="image-chunk"):
    """A part of an image. `total_bytes` is -1 if the sender does not have the image."""

    session: Name
    digest: Digest
    offset: Amount
    total_bytes: Amount
    """How long that is of which it is a part: the content, all the leaves, or the summary."""
    data: bytes
    piece: ImagePiece = ImagePiece.CONTENT


class ConsoleAsk(msgspec.Struct, frozen=True, tag="console-ask"):
    """Send me the console of one of your workspaces from `offset` on, after typing `keys` into it."""

    session: Name
    order: SignedOrder
    offset: Amount
    keys: bytes


class ConsoleText(msgspec.Struct, frozen=True, tag="console-text"):
    """What the console said from `offset` on; `problem` is empty if all is well."""

    session: Name
    offset: Amount
    data: bytes
    problem: Said

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class AttachmentOffer(msgspec.Struct, frozen=True, tag="attachment-offer"):
    """I was given the files of an order whose grid you carry, or keep the record of. It is said again."""

    key: Name


class AttachmentAsk(msgspec.Struct, frozen=True, tag="attachment-ask"):
    """Send me a piece of a file that a grid names, from `offset` on: I carry that grid, or keep its record."""

    session: Name
    key: Name
    """The order that the file came with, as a grid's id begins."""
    digest: Digest
    offset: Amount


class AttachmentPart(msgspec.Struct, frozen=True, tag="attachment-part"):
    """A piece of a file. `total_bytes` is -1 if the sender has none for who asks, whatever the reason."""

    session: Name
    digest: Digest
    offset: Amount
    total_bytes: Amount
    box: bytes
    """The piece, sealed for the peer that asked, so that nobody on the way can read it."""


class CommitAsk(msgspec.Struct, frozen=True, tag="commit-ask"):
    """Make an image of the root disk of one of your workspaces, or say how far that is."""

    session: Name
    order: SignedOrder


class CommitTold(msgspec.Struct, frozen=True, tag="commit-told"):
    """How far a commit is; `problem` is empty if the order was followed."""

    session: Name
    view: CommitView
    problem: Said

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class PathsAsk(msgspec.Struct, frozen=True, tag="paths-ask"):
    """How do you reach the other hosts of a grid that you carry part of?"""

    session: Name
    grid: GridId


class PathsTold(msgspec.Struct, frozen=True, tag="paths-told"):
    """That is how; `problem` is empty if the sender carries the grid."""

    session: Name
    paths: Annotated[tuple[PathTold, ...], Meta(max_length=PATHS_MOST)]
    problem: Said

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class UsageAsk(msgspec.Struct, frozen=True, tag="usage-ask"):
    """What did your leases reserve and use since then? Only hosts of the same site are told."""

    session: Name
    since_s: Moment


class UsageTold(msgspec.Struct, frozen=True, tag="usage-told"):
    """That is what they did; `problem` is empty if the sender says."""

    session: Name
    leases: Annotated[tuple[LeaseUsage, ...], Meta(max_length=LEASES_TOLD)]
    left_out: Count
    """How many leases there were besides, before these."""
    problem: Said

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


BulkMessage = (
    ImageAsk
    | ImageChunk
    | ConsoleAsk
    | ConsoleText
    | StreamMessage
    | AttachmentOffer
    | AttachmentAsk
    | AttachmentPart
    | CommitAsk
    | CommitTold
    | PathsAsk
    | PathsTold
    | UsageAsk
    | UsageTold
)
RegisterMessage = ToSteward | ToAsker
Agreeing = NegotiationMessage | TunnelKeysMessage | TunnelPathsMessage | AttachMessage
Message = (
    MembershipMessage | RelayMessage | BroadcastMessage | RegisterMessage | Agreeing | BulkMessage
)
"""Everything that a frame may contain, as a closed union."""

FAMILIES: dict[type, str] = {
    **dict.fromkeys(get_args(MembershipMessage), "membership"),
    **dict.fromkeys(get_args(RelayMessage), "relay"),
    **dict.fromkeys(get_args(BroadcastMessage), "broadcast"),
    **dict.fromkeys(get_args(RegisterMessage), "register"),
    **dict.fromkeys(get_args(NegotiationMessage | AttachMessage), "negotiation"),
    **dict.fromkeys(get_args(TunnelKeysMessage | TunnelPathsMessage), "tunnel-keys"),
    **dict.fromkeys(get_args(BulkMessage), "bulk"),
    Hello: "hello",
    Unwelcome: "hello",
    **dict.fromkeys(get_args(Comparison), "comparison"),
}
"""The family of each type of message, against whose allowance it counts (ALLOWANCES in terms/limits.py)."""
