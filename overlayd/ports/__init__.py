"""One `typing.Protocol` for each thing outside the process. Adapters do it for real, fakes do it in tests."""
