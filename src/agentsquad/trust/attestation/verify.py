"""Verify a case: python verify.py case.zip [--key KEY] [--heads FILE]

Needs only Python 3.9 or later and no network. Prints what was verified and what
cannot be; exit 0 only if nothing is wrong.

--key KEY     the log's public key as you got it from somebody you trust
--heads FILE  signed heads of the log that you kept: the case must extend them
"""

from __future__ import annotations

import argparse
import base64
import json
import struct
import sys
import zlib
from datetime import datetime
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

BOUND = "action run input_digest policy evidence_digest expires_ms position"
Number = type("Number", (str,), {})  # a JSON number with the text it was written with


def _need(condition: Any, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _named(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()


def _unbase(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    _need(base64.b64encode(raw).decode() == text, "base64 that is not canonical")
    return raw


def parse(data: bytes) -> Any:
    """Read JSON bytes, which must be in canonical form."""
    value = json.loads(data, parse_int=Number, parse_float=Number)
    _need(canon(value) == data, f"not canonical JSON: {data[:60]!r}")
    return value


def canon(value: Any) -> bytes:
    """Return the canonical JSON (RFC 8785) of a parsed value."""

    def write(value: Any) -> str:
        if isinstance(value, Number):
            return str(value)
        if isinstance(value, dict):
            keys = sorted(value, key=lambda name: str(name).encode("utf-16-be"))
            return "{" + ",".join(write(key) + ":" + write(value[key]) for key in keys) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(write, value)) + "]"
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    return write(value).encode("utf-8")


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature fits (RFC 8032, section 5.1, cofactorless)."""
    p, q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, p - 2, p) % p

    def add(a: Any, b: Any) -> Any:
        u, v = (a[1] - a[0]) * (b[1] - b[0]) % p, (a[1] + a[0]) * (b[1] + b[0]) % p
        s, t = 2 * a[3] * b[3] * d % p, 2 * a[2] * b[2] % p
        e, f, g, h = v - u, t - s, t + s, v + u
        return e * f % p, g * h % p, f * g % p, e * h % p

    def times(n: int, point: Any) -> Any:
        total = (0, 1, 1, 0)
        while n:
            total = add(total, point) if n & 1 else total
            point, n = add(point, point), n >> 1
        return total

    def point(data: bytes) -> Any:
        y = int.from_bytes(data, "little") & (1 << 255) - 1
        square = (y * y - 1) * pow(d * y * y + 1, p - 2, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
        _need(y < p and x * x % p == square and (x or data[31] < 128), "not on the curve")
        x = x if x & 1 == data[31] >> 7 else p - x
        return x, y, 1, x * y % p

    r, s = int.from_bytes(signature[:32], "little"), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % q
    x, y, z, t = point(public)
    x, y, z, _ = add(times(s, point(b"X" + b"f" * 31)), times(k, (p - x, y, z, p - t)))
    x, y = x * pow(z, p - 2, p) % p, y * pow(z, p - 2, p) % p
    return len(signature) == 64 and s < q and r == (y | (x & 1) << 255)


def open_note(note: str, key: str) -> str:
    """Return the text of a note signed once, by this verifier key."""
    head, _, line = note.rpartition("\n\n")
    name, hint, encoded = key.split("+", 2)
    public, raw = _unbase(encoded), _unbase(line[:-1].rpartition(" ")[2])
    _need(public[0] == 1 and len(public) == 33, "not an Ed25519 key")
    key_id = sha256(name.encode() + b"\n" + public).hexdigest()[:8]
    _need(key_id == hint == raw[:4].hex(), "signed by another key")
    _need(line == f"— {name} {base64.b64encode(raw).decode()}\n", "not a signed note")
    _need(ed25519(public[1:], (head + "\n").encode(), raw[4:]), "a signature is wrong")
    return head + "\n"


def climb(index: int, last: int, seed: bytes, hashes: list[bytes]) -> tuple[bytes, bytes]:
    """Return the old and the new root (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    old = new = seed
    for step in hashes:
        _need(last, "a proof is too long")
        if index & 1 or index == last:
            old, new = (sha256(b"\1" + step + side).digest() for side in (old, new))
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            new = sha256(b"\1" + new + step).digest()
        index, last = index >> 1, last >> 1
    _need(last == 0, "a proof is too short")
    return old, new


class Case:
    """One case on its way through the checks; whatever is wrong raises."""

    def __init__(self, data: bytes) -> None:
        members, body, index = [], bytearray(), bytearray()
        while data[(at := len(body)) : at + 4] == b"PK\3\4":
            size, length = struct.unpack("<LH", data[at + 22 : at + 28])
            name, start = data[at + 30 : at + 30 + length], at + 30 + length
            part = data[start : start + size]
            entry = struct.pack("<5H3L2H", 20, 0, 0, 0, 33, zlib.crc32(part), size, size, length, 0)
            index += b"PK\1\2\24\3" + entry + struct.pack("<3H2L", 0, 0, 0, 0x81A40000, at) + name
            body += b"PK\3\4" + entry + name + part
            members.append((name.decode("ascii"), part))
        tail = struct.pack("<4H2LH", 0, 0, len(members), len(members), len(index), len(body), 0)
        _need(body + index + b"PK\5\6" + tail == data, "the archive is not in its canonical form")
        (first, listing), (second, note), *rest = members
        self.manifest, self.members = parse(listing), dict(rest)
        self.keys = {self.manifest["key"]: 2**63}  # newest first: the largest head each may sign
        for old, link in reversed(self.manifest.get("rotations", [])):
            kind, limit, new, _ = open_note(link, old).split("\n")
            _need((kind, new) == ("agentsquad.dev/key/v1", list(self.keys)[-1]), "no chain of keys")
            self.keys[old] = min(int(limit), self.keys[new])
        signed = open_note(note.decode(), self.manifest["key"])
        fits = signed == f"agentsquad.dev/case/v1\n{_named(listing)}\n" and first == "manifest.json"
        whole = self.manifest["members"] == [[name, _named(part)] for name, part in rest]
        _need(fits and whole and second == "manifest.note", "the manifest is of something else")
        self.heads: dict[str, tuple[str, int, bytes]] = {}  # by note: origin, size, root
        self.events: dict[int, tuple[Any, bytes, Any]] = {}  # by seq: header, leaf, payload
        self.streams: dict[str, list[int]] = {}
        self.approved = self.shown = 0

    def check_heads(self) -> tuple[str, int, bytes]:
        """Check that the head extends older ones; return its three lines."""
        head, older = self.members["checkpoint"].decode(), self.manifest["heads"]
        hints = {key.split("+", 2)[1]: key for key in self.keys}
        for note in [head, *(one["note"] for one in older)]:
            key = hints.get(_unbase(note[:-1].rpartition(" ")[2])[:4].hex(), self.manifest["key"])
            origin, size, root, _ = open_note(note, key).split("\n")
            fits = size == str(min(int(size), self.keys[key]))  # not above what its key may sign
            _need(fits and len(_unbase(root)) == 32, "not a head")
            self.heads[note] = origin, int(size), _unbase(root)
        origin, new, new_root = self.heads[head]
        for one in older:
            name, old, old_root = self.heads[one["note"]]
            _need(0 < old < new and name == origin, "an older head is not older")
            odd, proof = (old & -old).bit_length() - 1, [_unbase(step) for step in one["proof"]]
            proof = proof if old & (old - 1) else [old_root, *proof]
            roots = climb(old - 1 >> odd, new - 1 >> odd, proof[0], proof[1:])
            _need(roots == (old_root, new_root), f"the log was forked since its head of {old}")
        return origin, new, new_root

    def check_events(self, size: int, root: bytes) -> None:
        """Check that events are in the log, whole and linked."""
        for line in self.members["events.jsonl"].split(b"\n")[:-1]:
            record = parse(line)
            raw, text = record["header"].encode(), record["payload"] or ""
            header, leaf = parse(raw), sha256(b"\0" + raw).digest()
            seq, stream = int(header["seq"]), self.streams.setdefault(header["stream"], [])
            under = climb(seq - 1, size - 1, leaf, [_unbase(step) for step in record["proof"]])[1]
            _need(under == root, f"event {seq} is not in the log")
            _need(int(header["cause"] or 0) < seq <= size, f"event {seq} is not after its cause")
            salted = _named(bytes.fromhex(record["salt"]) + text.encode())
            _need(not text or salted == header["payload_digest"], f"the payload of event {seq}")
            before, link, _ = self.events[stream[-1]] if stream else ({"stream_seq": 0}, b"", 0)
            gap = int(header["stream_seq"]) - int(before["stream_seq"]) - 1
            linked = gap or header["prev"] == ("sha256:" + link.hex() if link else None)
            _need(gap >= 0 and linked, f"event {seq} does not follow its stream")
            _need(not gap or header["stream"] not in self.manifest["complete"], "a stream has gaps")
            self.events[seq] = header, leaf, parse(text.encode()) if text else {}
            stream.append(seq)

    def check_effects(self) -> None:
        """Check that approvals fit their effects, where needed."""
        found: dict[Any, Any] = {}
        for seq, (header, _, body) in self.events.items():
            kind, stream = header["type"] if body else "", header["stream"]
            if kind == "approval.requested":
                bound = _named(canon({name: body.get(name) for name in BOUND.split()}))
                _need(body["binding"] == bound, f"event {seq} binds something else")
            elif kind == "approval.given":
                _need(header["actor"] == body["approver"], f"event {seq} is not by its approver")
            found.setdefault((kind, stream, body.get("position")), body)
            if kind != "effect.planned":
                continue
            decision, text = body["decision"] or {}, canon(body["input"])
            duties = sum("approve" in duty for duty in decision.get("obligations", ()))
            people = {one["approver"] for one in body["approvals"]}
            allowed = decision.get("allow") is True and len(people) >= duties
            _need(allowed, f"event {seq}: policy denied it or demanded an approval")
            for mine in body["approvals"]:
                asked = found.get(("approval.requested", stream, mine["position"]), {})
                given = found.get(("approval.given", stream, mine["position"]), {})
                _need(asked and given, f"event {seq}: its approval is not in the case")
                moment = datetime.fromisoformat(header["at"][:23] + "+00:00").timestamp() * 1000
                person, self.approved = given["approver"], self.approved + 1
                fits = {
                    "binding": given["binding"] == asked["binding"] == mine["binding"],
                    "answer": mine["approved"] is True and mine["approver"] == person,
                    "action": asked["action"] == body["action"],
                    "run": asked["run"] == stream[4:],
                    "input": b'{"$sealed":' in text or _named(text) == asked["input_digest"],
                    "policy": decision["revision"] == asked["policy"],
                    "time": moment <= float(asked["expires_ms"] or "inf") + 60_000,  # for the clock
                    "person": person.startswith("person:") and person != asked["requester"],
                }
                wrong = ", ".join(name for name, fit in fits.items() if not fit)
                _need(not wrong, f"event {seq}: its approval is for another {wrong}")

    def check_parts(self) -> None:
        """Check blobs, policies and disclosures by what names them."""
        for name, data in self.members.items():
            if name.startswith("blobs/"):
                _need(_named(data)[7:] == name[6:], f"{name} is another blob")
            elif name.startswith("policies/"):
                files = [[layer, path, _named(canon(text))] for layer, path, text in parse(data)]
                _need(_named(canon(files))[7:] == name[9:-5], f"{name} is another policy")
        for line in self.members.get("disclosed.jsonl", b"").split(b"\n")[:-1]:
            node = self.events[int((one := parse(line))["seq"])][2]
            for step in one["pointer"].split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                node = node[int(name) if isinstance(node, list) else name]
            value = _named(_unbase(one["salt"]) + canon(one["value"]))
            _need(node["$sealed"]["commitment"] == value, "a disclosed value is another")
            self.shown += 1


def report(case: Case, key: str | None, kept: set[str]) -> list[str]:
    """Run every check; say what was verified and what cannot be."""
    owner, about, complete = (case.manifest[name] for name in ("key", "about", "complete"))
    _need(key in (None, *case.keys), "the case is signed by another key than --key")
    origin, size, root = case.check_heads()
    case.check_events(size, root)
    there = int(about.get("event", 0)) in case.events or f"run/{about.get('run')}" in complete
    _need(there and set(complete) <= set(case.streams), "what the case is about is not in it")
    case.check_effects()
    case.check_parts()
    _need(kept <= set(case.heads), "a head you kept is not in the case: ask for one with it")
    ends = {name: case.events[seqs[-1]][0]["type"] for name, seqs in case.streams.items()}
    text = b"".join(canon(body) for _, _, body in case.events.values())
    sealed, blobs = text.count(b'{"$sealed":') - case.shown, text.split(b'"$blob":"')[1:]
    absent = len({blob[7:71] for blob in blobs} - {name[6:].encode() for name in case.members})
    return [
        f"ok  {canon(about).decode()} in {origin}, head of {size} events, root {root.hex()}",
        *[f"ok  {len(case.keys) - 1} older keys say which one follows"] * (len(case.keys) > 1),
        f"ok  {len(case.events)} events are under that head; {len(case.heads) - 1} older heads too",
        *(f"ok  {name} is whole, up to {ends[name]}" for name in complete),
        f"ok  {case.approved} approvals fit their effects; {case.shown} values disclosed",
        f"--  what {sealed} sealed values and {absent} absent blobs hold: only their digests",
        *([] if key else [f"--  whose key it is: {_named(_unbase(owner.split('+', 2)[2])[1:])}"]),
        "--  that no other log was shown to others" + ", except up to your heads" * bool(kept),
        "--  that the steps follow from the workflow's code: 'squad replay' shows that",
    ]


def main() -> int:
    """Verify the case named on the command line."""
    options = argparse.ArgumentParser(description="Verify a case, offline.")
    for name in ("case", "--key", "--heads"):
        options.add_argument(name)
    asked = options.parse_args()
    try:
        parts = Path(asked.heads).read_text("utf-8").split("\n\n") if asked.heads else []
        kept = {f"{parts[n]}\n\n{parts[n + 1]}\n" for n in range(0, len(parts) - 1, 2)}
        lines = [*report(Case(Path(asked.case).read_bytes()), asked.key, kept), "VERIFIED"]
    except Exception as error:  # noqa: BLE001 - whatever fails, the case is not verified
        lines = [f"NOT VERIFIED: {error or type(error).__name__}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(lines[-1] != "VERIFIED")


if __name__ == "__main__":
    sys.exit(main())
