"""The daemon and its faces: listens, asks protocol/, and does what it says."""
