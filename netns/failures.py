"""What can go wrong on a host, said to a person."""


class NetnsError(Exception):
    """A network or a lab could not be brought about; the text says which step and what would work.

    What was done before it stays; asking again goes on from there.
    """


class StaleEpoch(NetnsError):
    """The plan is older than what is in force. Nothing was changed."""
