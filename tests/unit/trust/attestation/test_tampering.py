"""An operator who holds the key and lies: every lie inside a freshly signed
case is found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentsquad.kernel import canonical, hashing
from agentsquad.runtime.engine import approval
from agentsquad.runtime.ledger.merkle import leaf_hash
from agentsquad.runtime.ledger.note import sign
from agentsquad.trust.attestation import verify
from agentsquad.trust.attestation.archive import pack
from agentsquad.trust.attestation.heads import LogSigner


def forged(office, data: bytes, change: Callable[[dict[str, bytes], Any], None]) -> bytes:
    """Return the case with members and manifest changed, listed and signed
    anew.
    """
    case = verify.Case(data)
    members, manifest = dict(case.members), json.loads(canonical.dumps(plain(case.manifest)))
    change(members, manifest)
    manifest["members"] = [[name, hashing.digest_bytes(part)] for name, part in members.items()]
    listing = canonical.dumps(manifest)
    text = f"agentsquad.dev/case/v1\n{hashing.digest_bytes(listing)}\n"
    note = sign(text, LogSigner(office.notary)).encode()
    return pack([("manifest.json", listing), ("manifest.note", note), *members.items()])


def plain(value: Any) -> Any:
    return json.loads(verify.canon(value))


def edit(kind: str, change: Callable[[dict, Any], None]) -> Callable[[dict[str, bytes], Any], None]:
    """Change the header or payload of the first event of a type; proofs stay as
    they were.
    """

    def apply(members: dict[str, bytes], manifest: Any) -> None:
        lines = [json.loads(line) for line in members["events.jsonl"].splitlines()]
        line = next(line for line in lines if json.loads(line["header"])["type"] == kind)
        header, payload = json.loads(line["header"]), json.loads(line["payload"])
        change(header, payload)
        line["header"] = canonical.dumps(header).decode()
        line["payload"] = canonical.dumps(payload).decode()
        members["events.jsonl"] = b"".join(canonical.dumps(line) + b"\n" for line in lines)

    return apply


def rewrite(change: Callable[[list[dict]], list[dict]]) -> Callable[[dict[str, bytes], Any], None]:
    def apply(members: dict[str, bytes], manifest: Any) -> None:
        lines = [json.loads(line) for line in members["events.jsonl"].splitlines()]
        changed = change(lines)
        members["events.jsonl"] = b"".join(canonical.dumps(line) + b"\n" for line in changed)

    return apply


def set_member(name: str, value: bytes) -> Callable[[dict[str, bytes], Any], None]:
    def apply(members: dict[str, bytes], manifest: Any) -> None:
        members[name] = value

    return apply


def set_manifest(**values: Any) -> Callable[[dict[str, bytes], Any], None]:
    return lambda members, manifest: manifest.update(values)


def flip_proof(lines: list[dict]) -> list[dict]:
    raw = bytearray(base64.b64decode(lines[0]["proof"][0]))
    raw[0] ^= 1
    lines[0]["proof"][0] = base64.b64encode(raw).decode()
    return lines


LIES = {
    "another actor": (
        edit("effect.planned", lambda header, body: header.update(actor="person:eve")),
        "is not in the log",
    ),
    "another amount": (
        edit("effect.confirmed", lambda header, body: body.update(output={"reference": "PAY-9"})),
        "the payload of event",
    ),
    "another salt": (
        rewrite(lambda lines: [{**lines[0], "salt": "00" * 16}, *lines[1:]]),
        "the payload of event",
    ),
    "a changed proof": (rewrite(flip_proof), "is not in the log"),
    "a short proof": (
        rewrite(lambda lines: [{**lines[0], "proof": lines[0]["proof"][:-1]}, *lines[1:]]),
        "too short",
    ),
    "a long proof": (
        rewrite(
            lambda lines: [{**line, "proof": [*line["proof"], line["proof"][0]]} for line in lines]
        ),
        "too long",
    ),
    "a left out event": (rewrite(lambda lines: lines[:1] + lines[2:]), "does not follow|has gaps"),
    "a repeated event": (rewrite(lambda lines: [lines[0], *lines]), "does not follow"),
    "events out of order": (rewrite(lambda lines: lines[::-1]), "does not follow|has gaps"),
    "no events": (rewrite(lambda lines: []), "not in it"),
    "another run's name": (set_manifest(about={"run": "01another"}), "not in it"),
    "an event it lacks": (set_manifest(about={"event": 99}), "not in it"),
    "a stream it lacks": (set_manifest(complete=["run/none"]), "not in it"),
    "another key": (
        set_manifest(key="example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"),
        "another key",
    ),
    "a head of nobody": (
        set_member("checkpoint", "x\n1\nAAAA\n\n— x AAAA\n".encode()),
        "another key",
    ),
    "another blob": (
        lambda members, manifest: members.update(
            {name: part + b"!" for name, part in members.items() if name.startswith("blobs/")}
        ),
        "is another blob",
    ),
    "another policy": (
        lambda members, manifest: members.update(
            {
                name: part.replace(b"amount > 100", b"amount > 999")
                for name, part in members.items()
                if name.startswith("policies/")
            }
        ),
        "is another policy",
    ),
    "another disclosed value": (
        lambda members, manifest: members.update(
            {"disclosed.jsonl": members["disclosed.jsonl"].replace(b"Max", b"Kim")}
        ),
        "a disclosed value is another",
    ),
    "a value disclosed elsewhere": (
        lambda members, manifest: members.update(
            {
                "disclosed.jsonl": members["disclosed.jsonl"].replace(
                    b"/lines/0/clerk", b"/contact/name"
                )
            }
        ),
        "a disclosed value is another",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_signed_lie_is_found(office, lie):
    change, message = LIES[lie]
    run = await office.settle()
    await office.note(run)
    await office.call("attest.prove", subject=run, out="case.zip", disclose=["person:12"])
    data = office.files.content["case.zip"]
    same = forged(office, data, lambda members, manifest: None)
    assert same == data
    with pytest.raises((ValueError, LookupError), match=message):
        verify.report(verify.Case(forged(office, data, change)), None, set())


async def test_a_head_of_a_forked_log_is_found(office):
    await office.settle()
    await office.call("log.checkpoint", witness="heads")
    run = await office.settle(600)
    await office.call("attest.prove", subject=run, out="case.zip", witness="heads")
    data = office.files.content["case.zip"]

    def fork(members: dict[str, bytes], manifest: Any) -> None:
        origin, size, root = manifest["heads"][0]["note"].split("\n")[:3]
        fake = base64.b64encode(leaf_hash(root.encode())).decode()
        text = f"{origin}\n{size}\n{fake}\n"
        manifest["heads"][0]["note"] = sign(text, LogSigner(office.notary)).encode().decode()

    with pytest.raises(ValueError, match="the log was forked"):
        verify.report(verify.Case(forged(office, data, fork)), None, set())


class World:
    """The events of one approved effect, as `check_effects` sees them."""

    def __init__(self) -> None:
        value = {"amount": verify.Number("500")}
        self.asked = {
            "position": "2",
            "run": "r",
            "action": "bank.pay",
            "input_digest": hashing.digest({"amount": 500}),
            "policy": "sha256:p",
            "evidence_digest": "sha256:e",
            "expires_ms": verify.Number("1767225700000"),
            "requester": "agent:matcher",
        }
        self.given = {"position": "2", "approver": "person:ada"}
        self.effect = {
            "position": "3",
            "action": "bank.pay",
            "input": value,
            "decision": {
                "allow": True,
                "revision": "sha256:p",
                "obligations": [{"approve": {"count": verify.Number("1")}}],
            },
            "approvals": [{"approved": True, "approver": "person:ada", "position": "2"}],
        }
        self.at = "2026-01-01T00:00:00.000Z/0000"
        self.by = "person:ada"

    def bind(self) -> None:
        bound = {name: plain(self.asked.get(name)) for name in verify.BOUND.split()}
        for body in (self.asked, self.given, *self.effect["approvals"]):
            if body is not None:
                body.setdefault("binding", hashing.digest(bound))

    def check(self) -> int:
        self.bind()
        case = verify.Case.__new__(verify.Case)
        case.approved = 0

        def header(kind: str, actor: str = "service:squad") -> dict[str, str]:
            return {"type": kind, "stream": "run/r", "at": self.at, "actor": actor}

        case.events = {
            1: (header("approval.requested"), b"", self.asked),
            2: (header("approval.given", self.by), b"", self.given),
            3: (header("effect.planned"), b"", self.effect),
        }
        case.check_effects()
        return case.approved


def test_the_script_binds_the_same_things_as_the_engine():
    assert tuple(verify.BOUND.split()) == approval.BOUND


def test_an_effect_that_is_exactly_what_was_approved_counts():
    assert World().check() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.effect["input"].update(amount=verify.Number("501")), "another input"),
        (lambda w: w.effect.update(action="bank.wire"), "another action"),
        (lambda w: w.asked.update(run="q"), "another run"),
        (lambda w: w.effect["decision"].update(revision="sha256:q"), "another policy"),
        (lambda w: setattr(w, "at", "2026-01-01T00:05:00.000Z/0000"), "another time"),
        (lambda w: w.asked.update(requester="person:ada"), "another person"),
        (lambda w: w.effect["approvals"][0].update(approved=False), "another answer"),
        (lambda w: w.effect["approvals"][0].update(approver="person:bob"), "another answer"),
        (lambda w: w.effect["approvals"][0].update(binding="sha256:x"), "another binding"),
        (lambda w: w.given.update(binding="sha256:x"), "another binding"),
        (lambda w: w.asked.update(binding="sha256:x"), "binds something else"),
        (lambda w: w.effect.update(approvals=[]), "policy denied it or demanded"),
        (lambda w: w.effect["decision"].update(allow=False), "policy denied it or demanded"),
        (lambda w: w.effect.update(decision=None), "policy denied it or demanded"),
        (lambda w: w.given.update(position="9"), "its approval is not in the case"),
        (lambda w: w.asked.update(position="9"), "its approval is not in the case"),
        (lambda w: setattr(w, "by", "service:squad"), "not by its approver"),
    ],
)
def test_an_effect_that_is_not_what_was_approved_is_found(change, message):
    world = World()
    change(world)
    with pytest.raises(ValueError, match=message):
        world.check()


def test_an_agent_cannot_have_approved():
    world = World()
    world.by = world.given["approver"] = world.effect["approvals"][0]["approver"] = "agent:matcher2"
    with pytest.raises(ValueError, match="another person"):
        world.check()


def test_an_effect_that_needs_no_approval_has_none():
    world = World()
    world.effect["approvals"], world.effect["decision"]["obligations"] = [], []
    assert world.check() == 0
