"""Keys for the simulator: fast, deterministic, and worthless outside it.

A signature is a hash keyed with the *public* key. Anyone could forge one, but nothing in a simulation does so
by accident, and it is far faster than Ed25519. A key is the hash of a seed.

Each of thousands of peers verifies the same few records. What one has verified, the others of its world need
not verify again. So a world shares one verifier, which remembers.
"""

from collections.abc import Sequence
from hashlib import blake2b, sha256

from protocol.grid.decision import Ballot, sign_acceptance
from protocol.grid.decision import Certificate as DecisionCertificate
from protocol.grid.record import Register, register_key
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.sealed import Secret
from protocol.trust.certificate import (
    Certificate,
    Chain,
    Role,
    SignedCertificate,
    sign_certificate,
)
from protocol.trust.order import read_order
from protocol.trust.signing import covered
from protocol.wire.codec import encode

_REMEMBERED = 1 << 17
"""How many verifications a verifier remembers: the records of 10,000 peers, several times over."""


class SimSigner:
    """A Signer whose key follows from `seed`."""

    def __init__(self, seed: str) -> None:
        self._key = KeyId(sha256(seed.encode()).hexdigest())

    @property
    def key(self) -> KeyId:
        """The public key, which is all the key there is."""
        return self._key

    def sign(self, domain: str, payload: bytes) -> bytes:
        """The signature, 32 bytes."""
        return _tag(self._key, domain, payload)


class Witnessed:
    """A Signer that keeps everything it ever signed. Whatever bears its name and is not there is forged."""

    def __init__(self, signer: SimSigner, genuine: dict[tuple[KeyId, bytes], None]) -> None:
        self._signer, self._genuine = signer, genuine

    @property
    def key(self) -> KeyId:
        """The key of the signer."""
        return self._signer.key

    def sign(self, domain: str, payload: bytes) -> bytes:
        """The signature of the signer, kept."""
        self._genuine[self.key, payload] = None
        return self._signer.sign(domain, payload)


class SimVerifier:
    """A Verifier of what SimSigner signs."""

    def __init__(self) -> None:
        self._known: dict[tuple[KeyId, str, bytes, bytes], bool] = {}

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this payload in this domain."""
        asked = (key, domain, payload, signature)
        known = self._known.get(asked)
        if known is None:
            try:
                known = len(key) == 64 and signature == _tag(key, domain, payload)
            except ValueError:
                known = False
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[asked] = known
        return known


class SimSealer:
    """A Sealer whose boxes can be read but not altered: a tag, and then what is inside."""

    def __init__(self, key: KeyId) -> None:
        self._me = key

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for `to`, 32 bytes longer than `plain`."""
        return _box_tag(self._me, to, plain) + plain if len(to) == 64 else None

    def open(self, origin: PeerId, box: bytes) -> bytes | None:
        """What `origin` sealed for this peer; None if the box was altered, or is another's."""
        tag, plain = box[:32], box[32:]
        genuine = len(origin) == 64 and tag == _box_tag(origin, self._me, plain)
        return plain if genuine else None


_PRIME, _BASE = (1 << 127) - 1, 3


class SimPair:
    """An Ephemeral over a group that is far too small for anything real."""

    def __init__(self, secret: int) -> None:
        self._secret = secret

    @property
    def public(self) -> bytes:
        """32 bytes: a hash, whose beginning is as good as random, and the number itself."""
        number = pow(_BASE, self._secret, _PRIME).to_bytes(16, "big")
        return blake2b(number, digest_size=16).digest() + number

    def keys(self, theirs: bytes, transcript: bytes) -> tuple[Secret, Secret] | None:
        """The two keys, in the same order at both ends."""
        number = theirs[16:]
        if theirs[:16] != blake2b(number, digest_size=16).digest():
            return None
        shared = pow(int.from_bytes(number, "big"), self._secret, _PRIME).to_bytes(16, "big")
        made = blake2b(transcript, key=shared, digest_size=64).digest()
        return Secret(made[:32]), Secret(made[32:])


class SimExchange:
    """An Exchange whose pairs follow from `seed` and how many were made before."""

    def __init__(self, seed: str) -> None:
        self._seed, self._made = seed, 0

    def ephemeral(self) -> SimPair:
        """The next pair."""
        self._made += 1
        drawn = sha256(f"{self._seed} pair {self._made}".encode()).digest()
        return SimPair(int.from_bytes(drawn[:15], "big"))


class SimFederation:
    """A federation with as many sites and hosts as are asked for. All keys follow from names."""

    def __init__(self, name: str = "federation", *, from_s: float, until_s: float) -> None:
        self.name = name
        self.root = SimSigner(name)
        self.from_s = from_s
        self.until_s = until_s

    @property
    def key(self) -> KeyId:
        """The federation's key, in which every chain ends."""
        return self.root.key

    def site(self, site: str) -> SimSigner:
        """The signer with the site admin's key."""
        return SimSigner(f"{self.name}/{site}")

    def host(self, site: str, host: str) -> SimSigner:
        """The signer with a host's key."""
        return SimSigner(f"{self.name}/{site}/{host}")

    def site_chain(self, site: str) -> Chain:
        """The chain that goes with an order of that site's admin."""
        return (self._signed(Role.SITE, site, site, self.site(site).key, self.root),)

    def host_chain(
        self, site: str, host: str, *, serial: str = "", until_s: float | None = None
    ) -> Chain:
        """The chain that a host shows in its hello. Another `serial` or end makes another chain."""
        key, issuer = self.host(site, host).key, self.site(site)
        certificate = self._signed(Role.HOST, site, host, key, issuer, serial, until_s)
        return (certificate, *self.site_chain(site))

    def _signed(
        self,
        role: Role,
        site: str,
        name: str,
        subject: KeyId,
        issuer: SimSigner,
        serial: str = "",
        until_s: float | None = None,
    ) -> SignedCertificate:
        certificate = Certificate(
            subject=subject,
            role=role,
            site=site,
            name=name,
            issuer=issuer.key,
            not_before_s=self.from_s,
            not_after_s=self.until_s if until_s is None else until_s,
            serial=serial or subject[:16],
        )
        return sign_certificate(certificate, issuer)


def certified(register: Register, stewards: Sequence[SimSigner]) -> DecisionCertificate:
    """The register as these stewards of its order decide it, later than anything that they decided."""
    key, value = register_key(register.ordered), encode(register)
    ballot = Ballot(1 << 20, PeerId(stewards[0].key))
    read = read_order(register.ordered)
    votes = (
        (peer, sign_acceptance(s, key, ballot, value, store=read.store_of(peer)))
        for s, peer in ((s, PeerId(s.key)) for s in stewards)
    )
    return DecisionCertificate(key, ballot, value, tuple(votes))


def _tag(key: KeyId, domain: str, payload: bytes) -> bytes:
    return blake2b(covered(domain, payload), key=bytes.fromhex(key), digest_size=32).digest()


def _box_tag(origin: str, to: str, plain: bytes) -> bytes:
    return blake2b(
        plain, key=sha256(f"{origin} to {to}".encode()).digest(), digest_size=32
    ).digest()
