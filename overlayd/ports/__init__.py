"""One `typing.Protocol` per thing outside the process. Adapters do it for real, fakes stand in for tests."""
