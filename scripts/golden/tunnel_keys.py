"""One exchange of tunnel keys with its secrets, for who writes another implementation."""

import json

from golden import examples
from overlayd.adapters.key_exchange import NaclPair
from overlayd.adapters.nacl_keys import NaclIdentity
from protocol.terms.sealed import Cipher
from protocol.tunnel_keys.transcript import Answered, Offered, digest_of, sign_answer, sign_offer

_TWO = sorted(
    (examples.HOST, NaclIdentity(examples.seed("another host"))), key=lambda host: host.key
)
BY, TO = _TWO
SECRETS = {name: examples.seed(f"tunnel half of {name}") for name in ("by", "to")}
PAIRS = {name: NaclPair(secret) for name, secret in SECRETS.items()}
OFFERED = Offered(
    federation=examples.FEDERATION.key,
    by=BY.peer,
    to=TO.peer,
    life=3,
    round=7,
    index=0x01020304,
    key=PAIRS["by"].public,
    ciphers=(Cipher.AES_256_GCM.value, Cipher.CHACHA20_POLY1305.value),
)
OFFER = sign_offer(OFFERED, BY)
ANSWERED = Answered(
    offer=digest_of(OFFER.payload),
    by=BY.peer,
    to=TO.peer,
    index=0x05060708,
    key=PAIRS["to"].public,
    cipher=Cipher.AES_256_GCM,
)
ANSWER = sign_answer(ANSWERED, TO)


def text() -> str:
    """The content of tests/vectors/tunnel-keys.json."""
    transcript = digest_of(ANSWER.payload)
    made = PAIRS["by"].keys(PAIRS["to"].public, transcript)
    assert made is not None
    plain = {
        "what": "Seeds of hosts are as in keys.json; an X25519 secret is SHA-256 of `overlayd vector tunnel "
        "half of NAME`. All in hexadecimal.",
        "by": {"seed of": "host" if BY is examples.HOST else "another host", "key": BY.key},
        "to": {"seed of": "host" if TO is examples.HOST else "another host", "key": TO.key},
        "secret": {name: secret.hex() for name, secret in SECRETS.items()},
        "public": {name: pair.public.hex() for name, pair in PAIRS.items()},
        "offer": {"payload": OFFER.payload.hex(), "signature": OFFER.signature.hex()},
        "answer": {"payload": ANSWER.payload.hex(), "signature": ANSWER.signature.hex()},
        "salt": transcript.hex(),
        "by seals with": made[0].reveal().hex(),
        "to seals with": made[1].reveal().hex(),
    }
    return json.dumps(plain, indent=1) + "\n"
