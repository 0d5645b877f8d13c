"""Seeds kept as they were given."""

from overlayd.ports.seeds import Seed, SeedError


class FakeSeeds:
    """The Seeds port on a dict, which tests may read."""

    def __init__(self) -> None:
        self.seeds: dict[str, Seed] = {}
        self.writes = 0
        """How often something was really written."""

    async def ensure(self, machine: str, seed: Seed) -> str:
        """A path at which there is nothing."""
        path = self._path(machine)
        mounts = (part for mount in seed.mounts for part in mount)
        for text in (seed.instance_id, seed.hostname, *seed.ssh_authorized_keys, *mounts):
            if not text or not text.isprintable() or text != text.strip():
                raise SeedError(f"a guest cannot be told {text!r}")
        if self.seeds.get(machine) != seed:
            self.seeds[machine] = seed
            self.writes += 1
        return path

    async def files(self, machine: str) -> dict[str, bytes]:
        """Its id and what its owner gave it."""
        if machine not in self.seeds:
            raise SeedError(f"there is no seed of {machine}")
        seed = self.seeds[machine]
        named = f"instance-id: {seed.instance_id}\nlocal-hostname: {seed.hostname}\n"
        return {"meta-data": named.encode(), "user-data": seed.user_data}

    async def observe(self) -> tuple[str, ...]:
        """Those that were given one."""
        return tuple(sorted(self.seeds))

    async def remove(self, machine: str) -> None:
        """Gone afterwards."""
        self._path(machine)
        self.seeds.pop(machine, None)

    def _path(self, machine: str) -> str:
        if not machine or "/" in machine or machine.startswith("."):
            raise SeedError(f"{machine!r} is not a machine's name")
        return f"/fake/seeds/{machine}.iso"
