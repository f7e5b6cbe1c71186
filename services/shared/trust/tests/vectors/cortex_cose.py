"""Envelopes, keys and claims of Cortex, built on cbor2 and cryptography alone.

Written from RFC 8392, RFC 8949 and RFC 9052, not from the Rust code, so that the two can disagree.
"""

import hashlib
import json

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

REQUEST = "application/vnd.cortex.task+cbor"
ASSIGNMENT = "application/vnd.cortex.assignment+cbor"
ORDER_TYPE = "application/vnd.cortex.order+cbor"
CERTIFICATE = "application/vnd.cortex.certificate+cbor"
ROSTER = "application/vnd.cortex.roster+cbor"
CLUSTER = "test"
NOW = 1_800_000_000
DAY = 24 * 60 * 60

ISS, SUB, AUD, EXP, NBF, IAT, CTI = range(1, 8)
(SPEC, GRANTS, PARENT, TRACE, PARTITION, TASK, REQUEST_HASH, NODE, EPOCH, ATTEMPT, TERM) = range(
    -65537, -65548, -1
)
KEY, PURPOSE, BOUNDS, ORDER, VERSION, REVOKED_KEYS, OVERSEERS = range(-65548, -65555, -1)


def encode(value):
    """Deterministic CBOR; maps are written in the order in which the caller gives them."""
    return cbor2.dumps(value)


def in_order(claims):
    """The claims sorted by their encoded keys."""
    return dict(sorted(claims.items(), key=lambda entry: encode(entry[0])))


class Key:
    def __init__(self, name, purpose):
        self.name = name
        self.purpose = purpose
        self.seed = hashlib.sha256(b"cortex test vector key " + name.encode()).digest()
        self.private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = kid(purpose, self.public)

    def sign(self, message):
        return self.private.sign(message)


def kid(purpose, public):
    return hashlib.sha256(b"cortex/kid/v1" + purpose.encode() + public).digest()[:16]


def task_id(issuer, nonce):
    named = bytes([len(issuer)]) + issuer.encode()
    return hashlib.sha256(b"cortex/task/v1" + named + nonce).hexdigest()[:32]


def header(content_type, key_id):
    return encode({1: -19, 3: content_type, 4: key_id})


def signed_bytes(protected, payload, content_type, cluster=CLUSTER, context="Signature1"):
    external = encode([content_type, cluster])
    return encode([context, protected, external, payload])


def outer(protected, payload, signature, unprotected=None, tag=18):
    """The envelope from its parts; any part may be of a wrong type."""
    return encode(cbor2.CBORTag(tag, [protected, unprotected or {}, payload, signature]))


def seal(payload, key, content_type=REQUEST, cluster=CLUSTER, protected=None, **parts):
    """Signs payload bytes; a caller may bring a header of its own."""
    if not isinstance(payload, bytes):
        payload = encode(in_order(payload))
    if protected is None:
        protected = header(content_type, key.kid)
    signature = key.sign(signed_bytes(protected, payload, content_type, cluster))
    return outer(protected, payload, signature, **parts)


def spec_text(**fields):
    return json.dumps({"work": {"kind": "echo", "text": "hello"}, **fields})


def request(**changes):
    """Claims of a plain request; a change to None takes a claim away."""
    claims = {
        ISS: "alice",
        SUB: "alice",
        AUD: "node:node-1",
        EXP: NOW + 3600,
        NBF: NOW,
        IAT: NOW,
        CTI: bytes(range(16)),
        SPEC: spec_text(),
        PARTITION: 0,
    }
    return changed(claims, changes)


def assignment(request_envelope, **changes):
    claims = {
        ISS: "scheduler",
        EXP: NOW + 120,
        IAT: NOW,
        TASK: task_id("alice", bytes(range(16))),
        REQUEST_HASH: hashlib.sha256(request_envelope).digest(),
        NODE: "node-1",
        EPOCH: 1,
        ATTEMPT: 1,
        TERM: 7,
    }
    return changed(claims, changes)


def order(**changes):
    claims = {
        ISS: "alice",
        AUD: "registry",
        EXP: NOW + 600,
        IAT: NOW,
        CTI: bytes(range(16)),
        ORDER: '{"do":"set-role","person":"bob","role":"operator"}',
    }
    return changed(claims, changes)


def order_id(issuer, nonce):
    named = bytes([len(issuer)]) + issuer.encode()
    return hashlib.sha256(b"cortex/order/v1" + named + nonce).hexdigest()[:32]


def certificate(issuer, subject, about, **changes):
    claims = {
        ISS: issuer,
        SUB: subject,
        EXP: NOW + 365 * DAY,
        NBF: NOW,
        IAT: NOW,
        KEY: about.public,
        PURPOSE: about.purpose,
    }
    return changed(claims, changes)


def roster(**changes):
    claims = {
        ISS: "registry",
        IAT: NOW,
        VERSION: 7,
        REVOKED_KEYS: [bytes(15) + bytes([n]) for n in (1, 2)],
        OVERSEERS: ["alice", "bob"],
    }
    return changed(claims, changes)


def changed(claims, changes):
    for name, value in changes.items():
        key = globals()[name.upper()]
        if value is None:
            del claims[key]
        else:
            claims[key] = value
    return claims


def heads(data, start=0):
    """Offset, length and argument of every head of one item, in order; returns (heads, end)."""
    initial = data[start]
    major, info = initial >> 5, initial & 31
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    argument = int.from_bytes(data[start + 1 : start + 1 + size], "big") if size else info
    found, at = [(start, 1 + size, major, argument)], start + 1 + size
    if major in (2, 3):
        at += argument
    elif major in (4, 5, 6):
        for _ in range({4: argument, 5: 2 * argument, 6: 1}[major]):
            inner, at = heads(data, at)
            found += inner
    return found, at


def widen(data, head):
    """The same item with one head a size longer than it needs to be."""
    offset, length, major, argument = head
    wider = {1: (24, 1), 2: (25, 2), 3: (26, 4), 5: (27, 8)}[length]
    longer = bytes([major << 5 | wider[0]]) + argument.to_bytes(wider[1], "big")
    return data[:offset] + longer + data[offset + length :]
