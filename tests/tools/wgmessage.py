# SPDX-License-Identifier: GPL-2.0-or-later
"""WireGuard's handshake (Noise IKpsk2, after the protocol's paper), both messages and a keepalive, as bytes: for tests that
need a peer with somebody's key and a clock of their own, or a thousand of them. Keys are raw bytes."""
import ctypes
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
sodium = ctypes.CDLL("libsodium.so.23")


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
        self.cookie = None

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
        self.mac1 = hashlib.blake2s(message, key=blake(b"mac1----", self.responder), digest_size=16).digest()
        message += self.mac1
        return message + (hashlib.blake2s(message, key=self.cookie, digest_size=16).digest() if self.cookie else bytes(16))

    def take_cookie(self, message):
        """A responder under load answers with a cookie (type 3), for the next initiation."""
        plain = ctypes.create_string_buffer(16)
        if len(message) == 64 and message[4:8] == self.index and not sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                plain, None, None, message[32:], ctypes.c_ulonglong(32), self.mac1, ctypes.c_ulonglong(16), message[8:32],
                blake(b"cookie--", self.responder)):
            self.cookie = plain.raw

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
        sending, receiving = kdf(chain, b"", 2)
        self.theirs, self.counter = theirs, 0
        self.sending, self.receiving = ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)
        return self.data(b"")

    def data(self, packet):
        """An IP packet (b"": a keepalive) as a message of the session that response() began."""
        packet += bytes(-len(packet) % 16)
        head = struct.pack("<I", 4) + self.theirs + struct.pack("<Q", self.counter)
        sealed = self.sending.encrypt(struct.pack("<IQ", 0, self.counter), packet, b"")
        self.counter += 1
        return head + sealed

    def packet(self, message):
        """The IP packet, padded, in a message to us; an exception where it is none of this session."""
        if message[4:8] != self.index:
            raise ValueError("another session's")
        return self.receiving.decrypt(bytes(4) + message[8:16], message[16:], b"")
