"""What can go wrong on a host, said to a person."""


class NetnsError(Exception):
    """A network or a lab could not be brought about. The text says which step failed and what would work.

    What was done before stays, and the next call goes on from there.
    """


class StaleEpoch(NetnsError):
    """The plan is older than what is in force. Nothing was changed."""
