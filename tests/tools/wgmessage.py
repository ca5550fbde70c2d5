# SPDX-License-Identifier: GPL-2.0-or-later
"""WireGuard's handshake (Noise IKpsk2, after the protocol's paper), both messages and a keepalive, as bytes: for tests that
need a peer with somebody's key and a clock of their own, or a thousand of them. Keys are raw bytes."""
import hashlib
import hmac
import os
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
TAI = 2**62 + 10


def blake(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def kdf(key, data, n):
    prk = hmac.new(key, data, hashlib.blake2s).digest()
    out, last = [], b""
    for i in range(1, n + 1):
        last = hmac.new(prk, last + bytes([i]), hashlib.blake2s).digest()
        out.append(last)
    return out


def seal(key, counter, plain, data):
    return ChaCha20Poly1305(key).encrypt(struct.pack("<IQ", 0, counter), plain, data)


def opened(key, counter, sealed, data):
    return ChaCha20Poly1305(key).decrypt(struct.pack("<IQ", 0, counter), sealed, data)


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def shared(private, other):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(other))


class Initiator:
    """initiation() -> bytes; response(bytes) -> keepalive bytes that confirm the session, or an exception."""

    def __init__(self, private, responder):
        self.private, self.responder, self.own = private, responder, public(private)
        self.static = shared(private, responder)
        self.index = os.urandom(4)

    def initiation(self, at=None):
        """at: seconds since 1970 that the timestamp says; default now."""
        at = time.time() if at is None else at
        self.ephemeral = os.urandom(32)
        point = public(self.ephemeral)
        chain = blake(CONSTRUCTION)
        mixed = blake(blake(chain, IDENTIFIER), self.responder)
        chain = kdf(chain, point, 1)[0]
        mixed = blake(mixed, point)
        chain, key = kdf(chain, shared(self.ephemeral, self.responder), 2)
        static = seal(key, 0, self.own, mixed)
        mixed = blake(mixed, static)
        chain, key = kdf(chain, self.static, 2)
        stamp = seal(key, 0, struct.pack(">QI", TAI + int(at), int(at % 1 * 10**9)), mixed)
        self.chain, self.hash = chain, blake(mixed, stamp)
        message = struct.pack("<I", 1) + self.index + point + static + stamp
        mac = hashlib.blake2s(message, key=blake(b"mac1----", self.responder), digest_size=16).digest()
        return message + mac + bytes(16)

    def response(self, message):
        if len(message) != 92 or message[:4] != struct.pack("<I", 2) or message[8:12] != self.index:
            raise ValueError("not the response to our initiation")
        theirs, point, nothing = message[4:8], message[12:44], message[44:60]
        chain = kdf(self.chain, point, 1)[0]
        mixed = blake(self.hash, point)
        chain = kdf(chain, shared(self.ephemeral, point), 1)[0]
        chain = kdf(chain, shared(self.private, point), 1)[0]
        chain, temporary, key = kdf(chain, bytes(32), 3)
        mixed = blake(mixed, temporary)
        opened(key, 0, nothing, mixed)
        sending, self.receiving = kdf(chain, b"", 2)
        return struct.pack("<I", 4) + theirs + struct.pack("<Q", 0) + seal(sending, 0, b"", b"")
