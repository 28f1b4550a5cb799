"""Signing, witnessing and proving heads: what is signed once can never be
unsaid.
"""

from __future__ import annotations

import base64

import pytest

from agentsquad.kernel.errors import IntegrityError, InvalidError, MissingError
from agentsquad.kernel.event import NewEvent
from agentsquad.runtime.ledger.checkpoint import split_witnessed
from agentsquad.runtime.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from agentsquad.trust.attestation.adapters.memory import MemoryNotary
from agentsquad.trust.attestation.contract import CHECKPOINTED, Notary


async def fill(office, count: int, kind: str = "thing.happened") -> None:
    await office.store.append(
        [NewEvent(stream="s", type=kind, payload={"n": n}) for n in range(count)]
    )


def raw(steps: list[str]) -> list[bytes]:
    return [base64.b64decode(step) for step in steps]


async def test_a_head_is_signed_recorded_and_witnessed(office):
    await fill(office, 5)
    first = await office.call("log.checkpoint", witness="heads")
    assert (first.size, first.event, first.witnessed) == (5, 6, 1)
    await fill(office, 5)
    second = await office.call("log.checkpoint", witness="heads")
    assert (second.size, second.witnessed) == (11, 2)
    kept = split_witnessed(office.files.content["heads"])
    assert kept == [first.checkpoint.encode(), second.checkpoint.encode()]
    recorded = await office.store.read(types=[CHECKPOINTED])
    assert [event.payload["checkpoint"].encode() for event in recorded] == kept
    assert recorded[0].actor == "person:ada"


async def test_a_log_that_lost_events_is_not_signed_again(office):
    await fill(office, 9)
    await office.call("log.checkpoint", witness="heads")
    rolled_back = type(office)()
    rolled_back.notary = office.notary
    rolled_back.squad.world.ports.put(Notary, office.notary)
    await fill(rolled_back, 3)
    with pytest.raises(IntegrityError) as caught:
        await rolled_back.call("log.checkpoint")
    assert caught.value.code == "log.forked"
    assert "only 3 events" in caught.value.message
    assert await rolled_back.store.size() == 3


async def test_a_rewritten_log_is_not_signed_again_and_the_witness_is_left_alone(office):
    await fill(office, 9)
    await office.call("log.checkpoint", witness="heads")
    rewritten = type(office)()
    await fill(rewritten, 20, "thing.never_happened")
    rewritten.files.content.update(office.files.content)
    with pytest.raises(IntegrityError) as caught:
        await rewritten.call("log.checkpoint", witness="heads")
    assert caught.value.code == "log.forked"
    assert "has been changed" in caught.value.message
    assert rewritten.files.content == office.files.content


async def test_the_witness_of_another_log_is_refused(office):
    await fill(office, 3)
    await office.call("log.checkpoint", witness="heads")
    other = type(office)()
    other.files.content.update(office.files.content)
    other.squad.world.ports.put(Notary, MemoryNotary(b"\7" * 32))
    await fill(other, 3)
    with pytest.raises(IntegrityError) as caught:
        await other.call("log.checkpoint", witness="heads")
    assert caught.value.code == "note.unverified"


async def test_half_a_head_in_the_witness_file_is_refused(office):
    await fill(office, 3)
    await office.call("log.checkpoint", witness="heads")
    office.files.content["heads"] = office.files.content["heads"][:-20]
    with pytest.raises(InvalidError) as caught:
        await office.call("log.checkpoint", witness="heads")
    assert caught.value.code == "checkpoint.witness"


async def test_every_event_is_proven_under_the_newest_signed_head(office):
    await fill(office, 40)
    head = await office.call("log.checkpoint")
    for seq in range(1, 41):
        proof = await office.call("log.prove", seq=seq)
        assert proof.size == 40 and proof.kind == "inclusion"
        root = base64.b64decode(proof.root)
        leaf = leaf_hash(proof.header.encode())
        assert base64.b64encode(leaf).decode() == proof.leaf
        assert f"sha256:{root.hex()}" == head.root
        assert verify_inclusion(leaf, seq - 1, 40, raw(proof.proof), root)
        assert proof.tlog_proof == "\n".join(
            ["c2sp.org/tlog-proof@v1", f"index {seq - 1}", *proof.proof, "", head.checkpoint]
        )


async def test_without_a_signed_head_a_proof_is_under_the_present_one(office):
    await fill(office, 10)
    proof = await office.call("log.prove", seq=4)
    assert (proof.size, proof.tlog_proof) == (10, None)
    assert (await office.call("log.prove", seq=4, size=7)).size == 7


async def test_growth_is_proven_between_any_two_sizes(office):
    await fill(office, 30)
    for old, new in ((0, 30), (1, 30), (7, 8), (16, 23), (30, 30)):
        proof = await office.call("log.prove", **{"from": old, "to": new})
        roots = base64.b64decode(proof.old_root), base64.b64decode(proof.root)
        assert verify_consistency(old, new, *roots, raw(proof.proof))
    assert (await office.call("log.prove", **{"from": 3})).size == 30


@pytest.mark.parametrize(
    "given",
    [{}, {"seq": 1, "from": 1}, {"from": 5, "to": 3}, {"from": 1, "to": 99}, {"size": 3}],
)
async def test_what_cannot_be_proven_is_refused_with_advice(office, given):
    await fill(office, 10)
    with pytest.raises(InvalidError) as caught:
        await office.call("log.prove", **given)
    assert caught.value.hint


async def test_an_event_that_is_not_there_is_missing(office):
    await fill(office, 10)
    with pytest.raises(MissingError):
        await office.call("log.prove", seq=11)


async def test_an_event_beyond_the_asked_size_is_refused(office):
    await fill(office, 10)
    with pytest.raises(InvalidError):
        await office.call("log.prove", seq=9, size=5)
