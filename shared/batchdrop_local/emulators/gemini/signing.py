"""The key that signs messages to a batch's own webhooks: RS256, made when first needed, new in every process."""

from __future__ import annotations

import base64
import hashlib
import time
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from batchdrop_local.emulators.http import Json

KEY_ID: Final = "emulator-1"
LIFE_SECONDS: Final = 300


def jwt(signed: bytes) -> str:
    """Return a JWT over the digest of what is signed."""
    now = int(time.time())
    head = _url64(msgspec.json.encode({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}))
    claims = {
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "sha256": hashlib.sha256(signed).hexdigest(),
    }
    text = f"{head}.{_url64(msgspec.json.encode(claims))}"
    return f"{text}.{_url64(_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def jwks() -> Json:
    """Return the public key as a JSON Web Key Set."""
    numbers = _key().public_key().public_numbers()
    key = {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": KEY_ID,
        "n": _number(numbers.n),
        "e": _number(numbers.e),
    }
    return {"keys": [key]}


@lru_cache(maxsize=1)
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _number(value: int) -> str:
    return _url64(value.to_bytes((value.bit_length() + 7) // 8))


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
