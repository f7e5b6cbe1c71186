"""Writes vectors.json: envelopes that must be accepted, and what must be refused with which code.

    pip install cbor2 cryptography && python make_vectors.py

The output is committed and depends on nothing random, so that running it again changes nothing.
"""

import hashlib
import hmac
import json
import pathlib

import cbor2

import curve
from cortex_cose import *

ALICE = Key("alice", "task-issuer")
RETIRED = Key("alice-retired", "task-issuer")
FUTURE = Key("alice-future", "task-issuer")
REVOKED = Key("alice-revoked", "task-issuer")
GATEWAY = Key("gateway", "task-issuer")
MALLORY = Key("mallory", "task-issuer")
NODE_LOG = Key("node-1", "node-log")
SCHEDULER = Key("scheduler", "scheduler")
ROOT = Key("root", "root")
ENROLMENT = Key("registry", "enrolment")
CAROL = Key("carol", "task-issuer")
TOKEN = Key("carol-token", "task-issuer")
NODE_2 = Key("node-2", "task-issuer")

NODE_1 = {"node": "node-1", "capabilities": ["shell.exec@v1", "proxmox.*"]}
valid, invalid = [], []


def kind_of(claims):
    marks = {TASK: "assignment", ORDER: "order", KEY: "certificate", VERSION: "roster"}
    return next((kind for mark, kind in marks.items() if mark in claims), "request")


def plain_value(value):
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def accept(name, envelope, claims, key, **context):
    kind = kind_of(claims)
    case = {"name": name, "kind": kind, "signer": key.name, "envelope": envelope.hex()}
    case["envelope_hash"] = hashlib.sha256(envelope).hexdigest()
    case["claims"] = {str(k): plain_value(v) for k, v in claims.items()}
    if kind == "request":
        case["task"] = task_id(claims[ISS], claims[CTI])
    if kind == "order":
        case["order"] = order_id(claims[ISS], claims[CTI])
    valid.append(case | context)


def refuse(name, attack, code, envelope, kind="request", **context):
    case = {"name": name, "attack": attack, "kind": kind, "code": code}
    invalid.append(case | {"envelope": envelope.hex()} | context)


def anchors():
    def entry(key, principal, begin=NOW - 90 * DAY, end=NOW + 90 * DAY, **more):
        return {
            "kid": key.kid.hex(),
            "purpose": key.purpose,
            "principal": principal,
            "public_key": key.public.hex(),
            "not_before_s": begin,
            "not_after_s": end,
            **more,
        }

    keys = [
        entry(ALICE, "alice"),
        entry(RETIRED, "alice", end=NOW - DAY),
        entry(FUTURE, "alice", begin=NOW + DAY),
        entry(REVOKED, "alice", revoked_at_s=NOW - DAY),
        entry(GATEWAY, "gateway", acts_for=["alice"]),
        entry(NODE_LOG, "node-1"),
        entry(SCHEDULER, "scheduler"),
        entry(ROOT, "root"),
    ]
    keys.sort(key=lambda entry: entry["kid"])
    return {"format": "cortex-trust-anchors-v1", "cluster": CLUSTER, "keys": keys}


PLAIN = seal(request(), ALICE)
PLAIN_PAYLOAD = encode(in_order(request()))
PLAIN_HEADER = header(REQUEST, ALICE.kid)


def plain_signature():
    return ALICE.sign(signed_bytes(PLAIN_HEADER, PLAIN_PAYLOAD, REQUEST))


def accepted_requests():
    accept("plain", PLAIN, request(), ALICE)
    full = request(
        aud="can:proxmox.create_vm",
        grants='{"capabilities":["shell.exec@v1","proxmox.*"],"tasks_max":3}',
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        spec=spec_text(idempotent=True, time_limit_ms=1000, labels={"gpu": "ä \" \\ \u0000"}),
        partition=0,
    )
    accept("every claim", seal(full, ALICE), full, ALICE)
    versioned = request(aud="can:shell.exec@v1")
    accept("a capability with its version", seal(versioned, ALICE), versioned, ALICE)
    other = request(iss="gateway")
    accept("in the name of another", seal(other, GATEWAY), other, GATEWAY)
    longest = request(exp=NOW + 30 * DAY)
    accept("attack 30: the longest life", seal(longest, ALICE), longest, ALICE)
    old = request(iat=NOW - 2 * DAY, nbf=NOW - 2 * DAY)
    accept("attack 48: an old request of a retired key", seal(old, RETIRED), old, RETIRED)
    zero = request(iat=NOW, nbf=NOW + 60)
    accept("attack 31: 30 s early", seal(zero, ALICE), zero, ALICE, now_s=NOW + 30)
    accept("attack 31: 29 s late", PLAIN, request(), ALICE, now_s=NOW + 3600 + 29)
    for length, spec in ((23, 0), (24, 1), (255, 2), (256, 3), (16384, 4)):
        text = spec_text()
        text += " " * (length - len(text)) if len(text) < length else ""
        claims = request(spec=text, cti=bytes([spec]) * 16)
        accept(f"a specification of {len(text)} bytes", seal(claims, ALICE), claims, ALICE)


def accepted_assignments():
    claims = assignment(PLAIN)
    envelope = seal(claims, SCHEDULER, ASSIGNMENT)
    accept("assignment", envelope, claims, SCHEDULER, request=PLAIN.hex())
    claims = assignment(PLAIN, epoch=2**64 - 1, attempt=2**32 - 1, term=2**32)
    envelope = seal(claims, SCHEDULER, ASSIGNMENT)
    accept("assignment with large numbers", envelope, claims, SCHEDULER, request=PLAIN.hex())


def signatures():
    def with_signature(name, attack, signature, code="SIGNATURE_INVALID"):
        refuse(name, attack, code, outer(PLAIN_HEADER, PLAIN_PAYLOAD, signature))

    good = plain_signature()
    s_plus_l = (int.from_bytes(good[32:], "little") + curve.L).to_bytes(32, "little")
    with_signature("zero signature", 4, bytes(64))
    with_signature("all-ones signature", 4, b"\xff" * 64)
    with_signature("63 bytes of signature", 4, good[:63], "ENVELOPE_MALFORMED")
    with_signature("65 bytes of signature", 4, good + b"\0", "ENVELOPE_MALFORMED")
    with_signature("empty signature", 4, b"", "ENVELOPE_MALFORMED")
    with_signature("null signature", 4, None, "ENVELOPE_MALFORMED")
    with_signature("S + L", 5, good[:32] + s_plus_l)
    message = signed_bytes(PLAIN_HEADER, PLAIN_PAYLOAD, REQUEST)
    for index, point in enumerate(curve.small_order_points()):
        with_signature(f"R of small order {index}", 6, curve.sign_with(point, ALICE.seed, message))
    not_canonical = curve.large_order_not_canonical()
    with_signature("R not canonical", 6, not_canonical + good[32:])
    identity = (1).to_bytes(32, "little")
    with_signature("R = identity, S = 0", 7, identity + bytes(32))
    as_other = MALLORY.sign(signed_bytes(PLAIN_HEADER, PLAIN_PAYLOAD, REQUEST))
    with_signature("another key under the right key id", 9, as_other)
    with_signature("over the payload alone", 37, ALICE.sign(PLAIN_PAYLOAD))
    with_signature("over a server's nonce", 37, ALICE.sign(b"abcdefghijklmno"))
    countersignature = signed_bytes(
        PLAIN_HEADER, PLAIN_PAYLOAD, REQUEST, context="CounterSignature"
    )
    with_signature("under another context", 37, ALICE.sign(countersignature))
    no_aad = encode(["Signature1", PLAIN_HEADER, b"", PLAIN_PAYLOAD])
    with_signature("without external data", 35, ALICE.sign(no_aad))
    as_assignment = signed_bytes(PLAIN_HEADER, PLAIN_PAYLOAD, ASSIGNMENT)
    with_signature("signed as an assignment", 36, ALICE.sign(as_assignment))
    for cluster in ("staging", "tes", "test2", "TEST", ""):
        envelope = seal(request(), ALICE, cluster=cluster)
        refuse(f"for cluster {cluster!r}", 35, "SIGNATURE_INVALID", envelope)
    body = encode(in_order(request(spec=spec_text(idempotent=True))))
    refuse("body swapped", 45, "SIGNATURE_INVALID", outer(PLAIN_HEADER, body, good))
    longer = encode(in_order(request(spec=spec_text() + " ")))
    refuse("body with equal prefix", 45, "SIGNATURE_INVALID", outer(PLAIN_HEADER, longer, good))


def signing_keys():
    refuse("a stranger's key", 9, "KEY_UNKNOWN", seal(request(iss="mallory"), MALLORY))
    refuse("a node-log key", 36, "KEY_NOT_VALID", seal(request(iss="node-1"), NODE_LOG))
    disguised = header(REQUEST, kid("task-issuer", NODE_LOG.public))
    envelope = seal(request(iss="node-1"), NODE_LOG, protected=disguised)
    refuse("a node-log key under a task issuer's id", 36, "KEY_UNKNOWN", envelope)
    refuse("a scheduler key", 36, "KEY_NOT_VALID", seal(request(iss="scheduler"), SCHEDULER))
    refuse("a revoked key", 47, "KEY_REVOKED", seal(request(), REVOKED))
    old = request(iat=NOW - 2 * DAY, nbf=NOW - 2 * DAY)
    refuse("an old request of a revoked key", 47, "KEY_REVOKED", seal(old, REVOKED))
    refuse("a retired key for a new task", 48, "KEY_NOT_VALID", seal(request(), RETIRED))
    envelope = seal(old | {EXP: NOW + 28 * DAY}, RETIRED)
    refuse("long after its end", 48, "KEY_NOT_VALID", envelope, now_s=NOW + 30 * DAY)
    refuse("a key of tomorrow", 48, "KEY_NOT_VALID", seal(request(), FUTURE))
    refuse("another's name as issuer", 46, "KEY_NOT_VALID", seal(request(iss="bob"), ALICE))
    refuse("another user", 46, "NOT_ALLOWED", seal(request(sub="bob"), ALICE))
    other = seal(request(iss="gateway", sub="bob"), GATEWAY)
    refuse("another user than it may act for", 46, "NOT_ALLOWED", other)


def headers():
    def with_header(name, attack, entries, code="ENVELOPE_HEADER"):
        protected = entries if isinstance(entries, bytes) else encode(entries)
        refuse(name, attack, code, seal(PLAIN_PAYLOAD, ALICE, protected=protected))

    key_id = ALICE.kid
    for algorithm, name in ((-8, "EdDSA"), (-7, "ES256"), (5, "HMAC"), (0, "reserved 0")):
        with_header(f"algorithm {name}", 11, {1: algorithm, 3: REQUEST, 4: key_id})
    hmac_header = encode({1: 5, 3: REQUEST, 4: key_id})
    message = signed_bytes(hmac_header, PLAIN_PAYLOAD, REQUEST)
    mac = hmac.digest(ALICE.public, message, "sha512")
    envelope = outer(hmac_header, PLAIN_PAYLOAD, mac)
    refuse("HMAC keyed with the public key", 11, "ENVELOPE_HEADER", envelope)
    with_header("algorithm by name", 11, {1: "Ed25519", 3: REQUEST, 4: key_id})
    with_header("algorithm absent", 11, {3: REQUEST, 4: key_id})
    with_header("type absent", 11, {1: -19, 4: key_id})
    with_header("key id absent", 11, {1: -19, 3: REQUEST})
    with_header("type of an assignment", 36, {1: -19, 3: ASSIGNMENT, 4: key_id})
    with_header("type in upper case", 36, {1: -19, 3: REQUEST.upper(), 4: key_id})
    with_header("type as a number", 36, {1: -19, 3: 61, 4: key_id})
    with_header("key id of 15 bytes", 10, {1: -19, 3: REQUEST, 4: key_id[:15]})
    with_header("key id of 17 bytes", 10, {1: -19, 3: REQUEST, 4: key_id + b"\0"})
    with_header("key id as text", 10, {1: -19, 3: REQUEST, 4: key_id.hex()[:16]})
    critical = {1: -19, 2: [99], 3: REQUEST, 4: key_id, 99: 1}
    with_header("a critical header", 13, critical)
    with_header("an unknown header", 13, {1: -19, 3: REQUEST, 4: key_id, 99: 1})
    with_header("header of three others", 13, {1: -19, 3: REQUEST, 5: key_id})
    with_header("empty header map", 11, {})
    with_header("empty header bytes", 11, b"", "ENVELOPE_MALFORMED")
    unsorted = b"\xa3" + PLAIN_HEADER[3:] + PLAIN_HEADER[1:3]
    with_header("unsorted header", 20, unsorted, "ENVELOPE_MALFORMED")
    twice = b"\xa4" + PLAIN_HEADER[1:3] + PLAIN_HEADER[1:]
    with_header("algorithm twice", 19, twice, "ENVELOPE_MALFORMED")
    differing = b"\xa4\x01\x27" + PLAIN_HEADER[1:]
    with_header("two algorithms", 19, differing, "ENVELOPE_MALFORMED")
    with_header("bytes after the header", 3, PLAIN_HEADER + b"\0", "ENVELOPE_MALFORMED")

    def with_unprotected(name, attack, entries, protected=PLAIN_HEADER):
        envelope = seal(PLAIN_PAYLOAD, ALICE, protected=protected, unprotected=entries)
        refuse(name, attack, "ENVELOPE_HEADER", envelope)

    without = encode({3: REQUEST, 4: key_id})
    with_unprotected("algorithm unprotected", 11, {1: -19}, without)
    with_unprotected("algorithm in both", 11, {1: -19})
    with_unprotected("another algorithm unprotected", 11, {1: -7})
    with_unprotected("key id unprotected", 12, {4: MALLORY.kid})
    with_unprotected("anything unprotected", 12, {-70000: 0})


def shapes():
    signature = plain_signature()

    def refused(name, attack, envelope, code="ENVELOPE_MALFORMED"):
        refuse(name, attack, code, envelope)

    def four(*items):
        return encode(cbor2.CBORTag(18, list(items)))

    refused("nothing at all", 14, b"", "UNSIGNED")
    empty = ALICE.sign(signed_bytes(PLAIN_HEADER, b"", REQUEST))
    refused("null payload", 14, outer(PLAIN_HEADER, None, empty))
    refused("empty payload", 14, outer(PLAIN_HEADER, b"", empty))
    refused("detached payload", 15, outer(PLAIN_HEADER, None, signature))
    refused("inline payload", 15, outer(PLAIN_HEADER, request(), signature))
    refused("text payload", 15, outer(PLAIN_HEADER, "x", signature))
    refused("header as a map", 15, four({1: -19}, {}, PLAIN_PAYLOAD, signature))
    refused("null header", 15, four(None, {}, PLAIN_PAYLOAD, signature))
    nil = four(PLAIN_HEADER, None, PLAIN_PAYLOAD, signature)
    refused("null unprotected", 12, nil, "ENVELOPE_HEADER")
    listed = four(PLAIN_HEADER, [], PLAIN_PAYLOAD, signature)
    refused("unprotected as an array", 12, listed, "ENVELOPE_HEADER")
    refused("three parts", 15, four(PLAIN_HEADER, {}, PLAIN_PAYLOAD))
    refused("five parts", 15, four(PLAIN_HEADER, {}, PLAIN_PAYLOAD, signature, b""))
    refused("a number", 15, encode(cbor2.CBORTag(18, 1)))
    signers = [[PLAIN_HEADER, {}, signature]]
    refused("COSE_Sign", 16, encode(cbor2.CBORTag(98, [b"", {}, PLAIN_PAYLOAD, signers])))
    for tag, name in ((17, "COSE_Mac0"), (16, "COSE_Encrypt0"), (97, "COSE_Mac"), (61, "CWT")):
        refused(f"tagged {name}", 16, outer(PLAIN_HEADER, PLAIN_PAYLOAD, signature, tag=tag))
    refused("untagged", 16, PLAIN[1:])
    refused("tagged twice", 16, b"\xd2" + PLAIN)
    refused("tagged twice as CWT", 16, b"\xd8\x3d" + PLAIN)
    refused("tagged as CBOR", 16, b"\xd9\xd9\xf7" + PLAIN)
    refused("tag in two bytes", 18, b"\xd8\x12" + PLAIN[1:])
    refused("a byte after the end", 3, PLAIN + b"\0")
    refused("two envelopes", 3, PLAIN + PLAIN)


def strict_cbor():
    def with_payload(name, attack, payload):
        refuse(name, attack, "ENVELOPE_MALFORMED", seal(payload, ALICE))

    outer_heads, end = heads(PLAIN, 1)
    assert end == len(PLAIN)
    for head in outer_heads:
        wide = widen(PLAIN, head)
        refuse(f"envelope head at {head[0]} too long", 18, "ENVELOPE_MALFORMED", wide)
    for head in heads(PLAIN_HEADER)[0]:
        envelope = seal(PLAIN_PAYLOAD, ALICE, protected=widen(PLAIN_HEADER, head))
        refuse(f"header head at {head[0]} too long", 18, "ENVELOPE_MALFORMED", envelope)
    for head in heads(PLAIN_PAYLOAD)[0]:
        with_payload(f"payload head at {head[0]} too long", 18, widen(PLAIN_PAYLOAD, head))

    refuse("indefinite array", 17, "ENVELOPE_MALFORMED", b"\xd2\x9f" + PLAIN[2:] + b"\xff")
    cut = PLAIN.index(b"\xa0", 2 + 2 + len(PLAIN_HEADER))
    indefinite_map = PLAIN[:cut] + b"\xbf\xff" + PLAIN[cut + 1 :]
    refuse("indefinite unprotected", 17, "ENVELOPE_MALFORMED", indefinite_map)
    signature = plain_signature()
    for name, parts in (
        ("header", (chunked(PLAIN_HEADER), encode(PLAIN_PAYLOAD), encode(signature))),
        ("payload", (encode(PLAIN_HEADER), chunked(PLAIN_PAYLOAD), encode(signature))),
        ("signature", (encode(PLAIN_HEADER), encode(PLAIN_PAYLOAD), chunked(signature))),
    ):
        envelope = b"\xd2\x84" + parts[0] + b"\xa0" + parts[1] + parts[2]
        refuse(f"{name} in chunks", 17, "ENVELOPE_MALFORMED", envelope)
    with_payload("indefinite claims", 17, b"\xbf" + PLAIN_PAYLOAD[1:] + b"\xff")
    text = encode("alice")
    in_chunks = PLAIN_PAYLOAD.replace(text, b"\x7f" + text + b"\xff", 1)
    with_payload("text in chunks", 17, in_chunks)

    issuer, rest = PLAIN_PAYLOAD[1:8], PLAIN_PAYLOAD[8:]
    assert issuer == b"\x01" + text
    with_payload("a claim twice", 19, b"\xaa" + issuer + issuer + rest)
    with_payload("two values of a claim", 19, b"\xaa" + b"\x01\x63bob" + issuer + rest)
    with_payload("unsorted claims", 20, b"\xa9" + rest + issuer)
    length_first = encode(dict(sorted(request().items(), reverse=True)))
    with_payload("claims in falling order", 20, length_first)
    with_payload("a text key", 20, b"\xaa" + PLAIN_PAYLOAD[1:] + b"\x63abc\x01")
    with_payload("a byte key", 20, b"\xaa" + PLAIN_PAYLOAD[1:] + b"\x41a\x01")
    with_payload("an array key", 20, b"\xaa" + PLAIN_PAYLOAD[1:] + b"\x80\x01")

    time = encode(NOW + 3600)

    def with_expiry(name, attack, item):
        with_payload(name, attack, PLAIN_PAYLOAD.replace(b"\x04" + time, b"\x04" + item, 1))

    with_expiry("half float", 22, b"\xf9\x7b\xff")
    with_expiry("single float", 22, b"\xfa\x4e\xd6\x93\xa4")
    with_expiry("double float", 22, cbor2.dumps(float(NOW + 3600)))
    with_expiry("time tag", 24, b"\xc1" + time)
    with_expiry("big number", 22, b"\xc2\x48" + bytes(8))
    with_expiry("undefined", 22, b"\xf7")
    with_expiry("simple 16", 22, b"\xf0")
    with_expiry("simple 255", 22, b"\xf8\xff")
    with_expiry("false in two bytes", 18, b"\xf8\x14")
    with_expiry("a break", 17, b"\xff")
    with_expiry("reserved head", 17, b"\x1c")
    with_expiry("reserved simple", 17, b"\xfc")
    with_payload("not UTF-8", 23, PLAIN_PAYLOAD.replace(b"alice", b"ali\xffe", 1))
    surrogate = PLAIN_PAYLOAD.replace(b"alice", b"al\xed\xa0\x80", 1)
    with_payload("a surrogate", 23, surrogate)
    overlong = PLAIN_PAYLOAD.replace(b"alice", b"ali\xc0\xaf", 1)
    with_payload("overlong UTF-8", 23, overlong)
    with_payload("bytes after the claims", 3, PLAIN_PAYLOAD + b"\0")
    with_payload("claims twice", 3, PLAIN_PAYLOAD + PLAIN_PAYLOAD)
    with_payload("claims cut short", 2, PLAIN_PAYLOAD[:-1])
    with_payload("nine levels", 24, b"\x81" * 9 + b"\x00")
    with_payload("a thousand levels", 24, b"\x81" * 1000)
    with_payload("a thousand tags", 24, b"\xc1" * 1000)
    for initial, name in ((0x5B, "bytes"), (0x7B, "text"), (0x9B, "array"), (0xBB, "map")):
        for length in (2**64 - 1, 2**63, 2**32, 2**30):
            wide = initial - 1 if length < 2**32 else initial
            bomb = bytes([wide]) + length.to_bytes(4 if wide < initial else 8, "big")
            with_payload(f"{name} of {length}", 25, bomb)
            refuse(f"envelope: {name} of {length}", 25, "ENVELOPE_MALFORMED", b"\xd2" + bomb)


def chunked(data):
    half = len(data) // 2
    return b"\x5f" + encode(data[:half]) + encode(data[half:]) + b"\xff"


def claims_of_requests():
    def refused(name, attack, code="CLAIMS_INVALID", **changes):
        refuse(name, attack, code, seal(request(**changes), ALICE))

    for claim in "iss sub aud exp nbf iat cti spec partition".split():
        refused(f"{claim} missing", 21, **{claim: None})
    for key in (0, 8, 10, -1, -65536, -65600, -65542):
        refuse(f"unknown claim {key}", 21, "CLAIMS_INVALID", seal(request() | {key: 1}, ALICE))
    for value in ("soon", -1, None, [NOW], b"\0\0\0\0", True):
        claims = request() | {EXP: value}
        refuse(f"expiry {value!r}", 22, "CLAIMS_INVALID", seal(claims, ALICE))
    refused("expiry 2^63", 22, "LIFETIME_TOO_LONG", exp=2**63)
    refused("expiry 2^64 - 1", 22, "LIFETIME_TOO_LONG", exp=2**64 - 1)
    refused("all times 2^64 - 1", 22, iat=2**64 - 1, nbf=2**64 - 1, exp=2**64 - 1)
    far = {"iat": 2**64 - 3, "nbf": 2**64 - 2, "exp": 2**64 - 1}
    refuse("times at the end", 22, "KEY_NOT_VALID", seal(request(**far), ALICE))
    refused("nonce of 15 bytes", 22, cti=bytes(15))
    refused("nonce of 17 bytes", 22, cti=bytes(17))
    refused("nonce as text", 22, cti="0" * 16)
    refused("grants as an array", 22, grants=["shell.exec"])
    for grants in (
        "",
        "{}",
        "null",
        "shell.exec",
        '{"tasks_max":0}',
        '{"tasks_max": 1}',
        '{"tasks_max":1} ',
        '{"tasks_max":-1}',
        '{"tasks_max":1,"tasks_max":1}',
        '{"tasks_max":1,"capabilities":["a"]}',
        '{"capabilities":["shell exec"]}',
        '{"capabilities":[],"tasks_max":1}',
        '{"sudo":true}',
    ):
        refused(f"grants {grants!r}", 50, grants=grants)
    refused("partition 2^32", 22, partition=2**32)
    refused("partition -1", 22, partition=-1)
    refused("parent as bytes", 22, parent=bytes(16))
    refused("parent with a dot", 23, parent="a.b")
    refused("trace with a line feed", 23, trace="00-1\n")
    refused("empty trace", 23, trace="")
    refused("trace of 65 bytes", 23, trace="a" * 65)
    for issuer in ("", "Alice", "al ice", "alice\0", "alice.>", "*", "-alice", "a" * 64):
        refused(f"issuer {issuer!r}", 23, iss=issuer)
    for issuer in ("\u0430lice", "alice\u0301", "\ufeffalice", "\u202ealice"):
        refused(f"issuer {issuer.encode('unicode_escape').decode()}", 23, iss=issuer)
    for audience in ("", "node-1", "node:", "Node:node-1", "nodes:node-1", "node:node-1 "):
        refused(f"audience {audience!r}", 34, aud=audience)
    for audience in (["node:node-1"], "node:node-1,node-2", "can:", "node:NODE-1", "node:*"):
        refused(f"audience {audience!r}", 34, aud=audience)
    refused("not-before after expiry", 22, nbf=NOW + 3600)
    refused("not-before ahead of issue", 22, nbf=NOW - 1)
    refused("expiry at issue", 22, exp=NOW)
    for name, payload in (("array", [1]), ("number", 1), ("null", None), ("text", "{}")):
        refuse(f"claims as {name}", 22, "CLAIMS_INVALID", seal(encode(payload), ALICE))
    refuse("no claims", 21, "CLAIMS_INVALID", seal(encode({}), ALICE))


def recipients_and_times():
    def refused(name, attack, code, *, now_s=NOW, recipient=None, **changes):
        context = {"now_s": now_s} | ({"recipient": recipient} if recipient else {})
        refuse(name, attack, code, seal(request(**changes), ALICE), **context)

    refused("31 s early", 31, "NOT_YET_VALID", now_s=NOW - 31)
    refused("a day early", 28, "NOT_YET_VALID", now_s=NOW - DAY)
    refused("the year 1970", 32, "NOT_YET_VALID", now_s=0)
    refused("not-before in the future", 28, "NOT_YET_VALID", nbf=NOW + 31)
    refused("issued in the future", 29, "NOT_YET_VALID", iat=NOW + 31, nbf=NOW + 31)
    refused("30 s late", 31, "EXPIRED", now_s=NOW + 3600 + 30)
    refused("31 s late", 31, "EXPIRED", now_s=NOW + 3600 + 31)
    refused("a day late", 27, "EXPIRED", now_s=NOW + 3600 + DAY)
    refused("30 days and a second", 30, "LIFETIME_TOO_LONG", exp=NOW + 30 * DAY + 1)
    for audience in ("node:node-2", "node:node-11", "node:node", "can:shell.exec@v2"):
        refused(f"for {audience}", 34, "WRONG_AUDIENCE", aud=audience)
    for audience in ("can:shell", "can:*", "can:docker.run", "can:Proxmox.create_vm"):
        refused(f"for {audience}", 34, "WRONG_AUDIENCE", aud=audience)
    other = {"node": "node-2", "capabilities": []}
    refused("replayed on another node", 39, "WRONG_AUDIENCE", recipient=other)
    refused("moved to a partition", 39, "WRONG_AUDIENCE", recipient={"partition": 1})


def specifications():
    def refused(name, attack, text):
        refuse(name, attack, "SPEC_INVALID", seal(request(spec=text), ALICE))

    plain = spec_text()
    refused("empty specification", 45, "")
    refused("null specification", 45, "null")
    refused("an empty object", 45, "{}")
    refused("no JSON", 50, plain[:-1])
    refused("JSON twice", 50, plain + plain)
    refused("a comment", 50, plain + "//")
    refused("an unknown field", 50, spec_text(sudo=True))
    refused("an unknown kind", 50, '{"work":{"kind":"format-disk"}}')
    refused("a field twice", 50, plain[:-1] + ', "idempotent": false, "idempotent": true}')
    refused("a label twice", 50, plain[:-1] + ', "labels": {"a": "1", "\\u0061": "2"}}')
    refused("a program twice", 50, '{"work":{"kind":"command","argv":["a"],"argv":["b"]}}')
    refused("no program", 50, '{"work":{"kind":"command","argv":[]}}')
    refused("too deep", 24, '{"work":' + "[" * 8 + "]" * 8 + "}")
    refused("17 KiB", 26, plain + " " * (17 * 1024))


def assignments():
    def refused(name, attack, code, key=SCHEDULER, *, now_s=NOW, **changes):
        envelope = seal(assignment(PLAIN, **changes), key, ASSIGNMENT)
        more = {"kind": "assignment", "request": PLAIN.hex(), "now_s": now_s}
        refuse("assignment: " + name, attack, code, envelope, **more)

    for claim in "iss exp iat task request_hash node epoch attempt term".split():
        refused(f"{claim} missing", 21, "CLAIMS_INVALID", **{claim: None})
    refused("a subject", 21, "CLAIMS_INVALID", sub="alice")
    refused("a not-before", 21, "CLAIMS_INVALID", nbf=NOW)
    refused("for another node", 34, "WRONG_AUDIENCE", node="node-2")
    refused("of another task", 45, "ASSIGNMENT_MISMATCH", task="0" * 32)
    refused("of another request", 45, "ASSIGNMENT_MISMATCH", request_hash=bytes(32))
    refused("short hash", 22, "CLAIMS_INVALID", request_hash=bytes(31))
    refused("attempt 2^32", 22, "CLAIMS_INVALID", attempt=2**32)
    refused("epoch as text", 49, "CLAIMS_INVALID", epoch="1")
    refused("121 s of life", 30, "LIFETIME_TOO_LONG", exp=NOW + 121)
    refused("31 s early", 31, "NOT_YET_VALID", now_s=NOW - 31)
    refused("30 s late", 31, "EXPIRED", now_s=NOW + 150)
    refused("by a task issuer", 36, "KEY_NOT_VALID", ALICE, iss="alice")
    refused("in another's name", 46, "KEY_NOT_VALID", iss="alice")
    more = {"kind": "assignment", "request": PLAIN.hex()}
    refuse("a request as assignment", 36, "ENVELOPE_HEADER", PLAIN, **more)
    envelope = seal(assignment(PLAIN), SCHEDULER, ASSIGNMENT)
    refuse("an assignment as request", 36, "ENVELOPE_HEADER", envelope)
    elsewhere = seal(assignment(PLAIN), SCHEDULER, ASSIGNMENT, cluster="staging")
    refuse("assignment: in another cluster", 35, "SIGNATURE_INVALID", elsewhere, **more)


OF_ENROLMENT = seal(certificate("root", "registry", ENROLMENT), ROOT, CERTIFICATE)
OF_CAROL = seal(certificate("registry", "carol", CAROL), ENROLMENT, CERTIFICATE)
OF_NODE_2 = seal(certificate("registry", "node-2", NODE_2), ENROLMENT, CERTIFICATE)
WITHIN = '{"agents":["node-*"],"tasks_max":2}'
OF_TOKEN = seal(certificate("carol", "carol", TOKEN, bounds=WITHIN), CAROL, CERTIFICATE)


def certified(*certificates):
    return {"certificates": [certificate.hex() for certificate in certificates]}


BY_ENROLMENT = certified(OF_ENROLMENT)
BY_CAROL = certified(OF_ENROLMENT, OF_CAROL)


def accepted_certificates():
    claims = certificate("root", "registry", ENROLMENT)
    accept("certificate of an enrolment key", OF_ENROLMENT, claims, ROOT)
    claims = certificate("registry", "carol", CAROL)
    accept("certificate of an issuer key", OF_CAROL, claims, ENROLMENT, **BY_ENROLMENT)
    claims = certificate("carol", "carol", TOKEN, bounds=WITHIN)
    accept("certificate of a bounded key", OF_TOKEN, claims, CAROL, **BY_CAROL)
    claims = certificate("carol", "carol", TOKEN, bounds="{}")
    envelope = seal(claims, CAROL, CERTIFICATE)
    accept("certificate of a key that may ask for nothing", envelope, claims, CAROL, **BY_CAROL)
    claims = request(iss="carol", sub="carol")
    accept("by a certified key", seal(claims, CAROL), claims, CAROL, **BY_CAROL)
    claims = request(iss="carol", sub="carol", grants='{"tasks_max":2}')
    chain = certified(OF_ENROLMENT, OF_CAROL, OF_TOKEN)
    accept("by a bounded key", seal(claims, TOKEN), claims, TOKEN, **chain)
    exceeding = seal(claims | {GRANTS: '{"tasks_max":3}'}, TOKEN)
    refuse("by a bounded key, three tasks", 36, "GRANTS_EXCEEDED", exceeding, **chain)
    exceeding = seal(claims | {AUD: "can:shell.exec@v1"}, TOKEN)
    refuse("by a bounded key, for a capability", 36, "GRANTS_EXCEEDED", exceeding, **chain)
    envelope = seal(order(iss="carol"), TOKEN, ORDER_TYPE)
    refuse("an order by a bounded key", 36, "GRANTS_EXCEEDED", envelope, "order", **chain)
    refuse("by a key without its certificates", 36, "KEY_UNKNOWN", seal(claims, CAROL))


def refused_certificates():
    def refused(name, claims, key, code="CERTIFICATE_INVALID", by=BY_CAROL, **parts):
        envelope = seal(claims, key, parts.pop("content_type", CERTIFICATE), **parts)
        refuse("certificate: " + name, 36, code, envelope, "certificate", **by)

    good = certificate("registry", "dave", MALLORY)
    for claim in "iss sub exp nbf iat key purpose".split():
        refused(f"{claim} missing", changed(dict(good), {claim: None}), ENROLMENT)
    refused("an audience", good | {AUD: "node:node-1"}, ENROLMENT)
    refused("a nonce", good | {CTI: bytes(16)}, ENROLMENT)
    refused("key of 31 bytes", good | {KEY: bytes(31)}, ENROLMENT)
    refused("key as text", good | {KEY: MALLORY.public.hex()}, ENROLMENT)
    refused("unknown purpose", good | {PURPOSE: "god"}, ENROLMENT)
    refused("purpose in upper case", good | {PURPOSE: "Task-Issuer"}, ENROLMENT)
    refused("bounds with a blank", good | {BOUNDS: '{"tasks_max": 1}'}, ENROLMENT)
    refused("small order", good | {KEY: (1).to_bytes(32, "little")}, ENROLMENT, "KEY_WEAK")
    refused("off the curve", good | {KEY: curve.off_curve()}, ENROLMENT, "KEY_WEAK")
    refused("ends at once", good | {EXP: NOW}, ENROLMENT)
    refused("ends before it begins", good | {NBF: NOW + 10, EXP: NOW + 9}, ENROLMENT)
    refused("of the future", good | {IAT: NOW + 31}, ENROLMENT)
    refused("in another's name", good | {ISS: "root"}, ENROLMENT)
    refused("by an enrolment key for an enrolment key", good | {PURPOSE: "enrolment"}, ENROLMENT)
    refused("by an enrolment key for a root key", good | {PURPOSE: "root"}, ENROLMENT)
    refused("by the root for an issuer key", good | {ISS: "root"}, ROOT)
    refused("by a scheduler", good | {ISS: "scheduler"}, SCHEDULER)
    refused("by a node-log key", good | {ISS: "node-1"}, NODE_LOG)
    refused("by a stranger", good | {ISS: "mallory"}, MALLORY)
    refused("by a revoked key", good | {ISS: "alice", SUB: "alice"}, REVOKED, "KEY_REVOKED")
    refused("bounds of a scheduler", good | {PURPOSE: "scheduler", BOUNDS: "{}"}, ENROLMENT)
    refused("in another cluster", good, ENROLMENT, cluster="staging")
    refused("out of order", good, ENROLMENT, by={})
    refused("as a request", good, ENROLMENT, content_type=REQUEST)
    own = certificate("carol", "carol", MALLORY, bounds="{}")
    refused("of another principal by an issuer", own | {SUB: "dave"}, CAROL)
    refused("without bounds by an issuer", changed(dict(own), {"bounds": None}), CAROL)
    refused("longer than its voucher", own | {EXP: NOW + 365 * DAY + 1}, CAROL)
    refused("earlier than its voucher", own | {NBF: NOW - 1}, CAROL)
    refused("of its own key", own | {KEY: CAROL.public}, CAROL)
    by_token = certified(OF_ENROLMENT, OF_CAROL, OF_TOKEN)
    refused("by a bounded key", own, TOKEN, by=by_token)
    refuse("certificate: as a request", 36, "ENVELOPE_HEADER", OF_CAROL, **BY_ENROLMENT)
    flipped = OF_CAROL[:-1] + bytes([OF_CAROL[-1] ^ 1])
    more = {"kind": "certificate", **BY_ENROLMENT}
    refuse("certificate: forged", 36, "CERTIFICATE_INVALID", flipped, **more)


def orders():
    accept("order", seal(order(), ALICE, ORDER_TYPE), order(), ALICE)

    def refused(name, attack, code, key=ALICE, **changes):
        envelope = seal(order(**changes), key, ORDER_TYPE)
        refuse("order: " + name, attack, code, envelope, kind="order")

    for claim in "iss aud exp iat cti order".split():
        refused(f"{claim} missing", 21, "CLAIMS_INVALID", **{claim: None})
    refused("a subject", 21, "CLAIMS_INVALID", sub="bob")
    refused("a not-before", 21, "CLAIMS_INVALID", nbf=NOW)
    refused("for another service", 34, "WRONG_AUDIENCE", aud="scheduler")
    refused("601 s of life", 30, "LIFETIME_TOO_LONG", exp=NOW + 601)
    refused("expired", 27, "EXPIRED", iat=NOW - 100, exp=NOW - 31)
    refused("in another's name", 46, "KEY_NOT_VALID", iss="bob")
    refused("by a scheduler", 36, "KEY_NOT_VALID", SCHEDULER, iss="scheduler")
    refused("by a revoked key", 47, "KEY_REVOKED", REVOKED)
    refused("unknown", 50, "INVALID_VALUE", order='{"do":"format-disk"}')
    refused("an unknown field", 50, "UNKNOWN_FIELD", order='{"do":"revoke-token","token":"x","sudo":1}')
    refuse("order: a request as order", 36, "ENVELOPE_HEADER", PLAIN, kind="order")
    refuse("order: as a request", 36, "ENVELOPE_HEADER", seal(order(), ALICE, ORDER_TYPE))


def rosters():
    def sealed(claims, key=ENROLMENT):
        return seal(claims, key, ROSTER)

    accept("roster", sealed(roster()), roster(), ENROLMENT, **BY_ENROLMENT)
    empty = roster(revoked_keys=[], overseers=[], version=0, iat=NOW)
    accept("an empty roster", sealed(empty), empty, ENROLMENT, **BY_ENROLMENT)

    def refused(name, attack, code, key=ENROLMENT, **changes):
        envelope = sealed(roster(**changes), key)
        refuse("roster: " + name, attack, code, envelope, kind="roster", **BY_ENROLMENT)

    for claim in "iss iat version revoked_keys overseers".split():
        refused(f"{claim} missing", 21, "CLAIMS_INVALID", **{claim: None})
    refused("an expiry", 21, "CLAIMS_INVALID", exp=NOW + 1)
    ids = roster()[REVOKED_KEYS]
    refused("keys out of order", 20, "CLAIMS_INVALID", revoked_keys=ids[::-1])
    refused("a key twice", 19, "CLAIMS_INVALID", revoked_keys=ids[:1] * 2)
    refused("a key id of 15 bytes", 22, "CLAIMS_INVALID", revoked_keys=[bytes(15)])
    refused("keys as text", 22, "CLAIMS_INVALID", revoked_keys=["0" * 16])
    refused("people out of order", 20, "CLAIMS_INVALID", overseers=["bob", "alice"])
    refused("a person who is none", 23, "CLAIMS_INVALID", overseers=["*"])
    refused("of the future", 29, "NOT_YET_VALID", iat=NOW + 31)
    refused("by an issuer", 36, "KEY_NOT_VALID", ALICE, iss="alice")
    refused("by the root", 36, "KEY_NOT_VALID", ROOT, iss="root")
    refused("in another's name", 46, "KEY_NOT_VALID", iss="alice")
    unknown = sealed(roster())
    refuse("roster: without certificates", 36, "KEY_UNKNOWN", unknown, kind="roster")


def chains():
    grants = '{"agents":["node-*"],"tasks_max":2}'
    first = request(aud="node:node-2", grants=grants)
    envelope = seal(first, ALICE)
    given = assignment(envelope, node="node-2")
    second = request(iss="node-2", parent=task_id("alice", first[CTI]), cti=bytes(16))

    def context(root=envelope, to=given, key=SCHEDULER):
        link = {"request": root.hex(), "assignment": seal(to, key, ASSIGNMENT).hex()}
        return {"ancestors": [link], **certified(OF_ENROLMENT, OF_NODE_2)}

    accept("of a task", seal(second, NODE_2), second, NODE_2, **context())

    def refused(name, code="CHAIN_INVALID", more=None, **changes):
        child = seal(changed(dict(second), changes), NODE_2)
        refuse("chain: " + name, 46, code, child, **(more or context()))

    refused("missing", more=certified(OF_ENROLMENT, OF_NODE_2))
    refused("another parent", parent="0" * 32)
    refused("another subject", sub="bob")
    refused("its own subject", sub="node-2")
    refused("outlives", exp=NOW + 3601)
    refused("more tasks", "GRANTS_EXCEEDED", grants='{"tasks_max":2}')
    refused("more network", "GRANTS_EXCEEDED", grants='{"network":["db:5432"]}')
    refused("another audience", "GRANTS_EXCEEDED", aud="can:shell.exec@v1")
    refused("given to another node", more=context(to=assignment(envelope, node="node-3")))
    refused("another assignment", more=context(to=assignment(PLAIN, node="node-2")))
    by_alice = context(to=given | {ISS: "alice"}, key=ALICE)
    refused("assigned by an issuer", more=by_alice)
    broken = envelope[:-1] + bytes([envelope[-1] ^ 1])
    refused("a forged root", more=context(root=broken))
    orphan = seal(changed(dict(second), {"parent": None}), NODE_2)
    refuse("chain: for nobody", 46, "NOT_ALLOWED", orphan, **certified(OF_ENROLMENT, OF_NODE_2))
    refuse("chain: of no task", 46, "CHAIN_INVALID", PLAIN, **context())


def bad_keys():
    points = curve.small_order_points()
    bad = [(f"small order {i}", point) for i, point in enumerate(points)]
    bad += [("small order, not canonical", x) for p in points for x in curve.other_encodings(p)]
    bad += [("not canonical", curve.large_order_not_canonical())]
    bad += [("mixed order", curve.mixed_order(ALICE.public, p)) for p in points if curve.order(p) > 1]
    bad += [("off the curve", curve.off_curve())]
    return [{"name": name, "attack": 8 if "mixed" in name else 7, "public_key": public.hex()} for name, public in bad]


def main():
    for section in (
        accepted_requests,
        accepted_assignments,
        signatures,
        signing_keys,
        headers,
        shapes,
        strict_cbor,
        claims_of_requests,
        recipients_and_times,
        specifications,
        assignments,
        accepted_certificates,
        refused_certificates,
        orders,
        rosters,
        chains,
    ):
        section()
    keys = (ALICE, RETIRED, GATEWAY, SCHEDULER, ROOT, ENROLMENT, CAROL, TOKEN, NODE_2)
    document = {
        "now_s": NOW,
        "recipient": NODE_1,
        "anchors": anchors(),
        "seeds": {key.name: {"purpose": key.purpose, "seed": key.seed.hex()} for key in keys},
        "bad_keys": bad_keys(),
        "valid": valid,
        "invalid": invalid,
    }
    path = pathlib.Path(__file__).with_name("vectors.json")
    path.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n")
    print(f"{len(valid)} valid and {len(invalid)} invalid envelopes in {path.name}")


if __name__ == "__main__":
    main()
