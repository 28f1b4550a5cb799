"""Files in calls: content travels, paths do not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.gateway.adapters.inputs import InputFolder
from agentsquad.surfaces.gateway.adapters.scratch import ScratchFolder
from agentsquad.surfaces.gateway.contract import PathRefusedError
from agentsquad.surfaces.gateway.files import bring, unplaced


def content(*parts: str) -> bytes | None:
    path = Path(*parts)
    return path.read_bytes() if path.exists() else None


def no_inputs() -> InputFolder:
    raise AssertionError("nothing is kept here")


def write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


async def no_blob(digest: str) -> bytes:
    return {"sha256:aa": b"blob"}[digest]


@pytest.fixture
def scratch():
    made = ScratchFolder()
    yield made
    made.clear()


async def test_content_becomes_a_path_in_a_folder_of_its_own(scratch):
    files = [
        {"name": "a.edi", "text": "ISA*"},
        {"name": "a.edi", "base64": base64.b64encode(b"\xff").decode()},
        {"$blob": "sha256:aa"},
    ]
    found = await bring({"files": files, "n": 1}, {"files": "in"}, scratch, no_blob, no_inputs)
    assert [content(path) for path in found["files"]] == [b"ISA*", b"\xff", b"blob"]
    assert found["files"][0].endswith("/a.edi")
    assert found["n"] == 1
    scratch.clear()
    assert content(found["files"][0]) is None


async def test_many_files_make_one_folder(scratch):
    sent = {"folder": [{"name": "in/a.edi", "text": "A"}, {"name": "b.edi", "text": "B"}]}
    found = await bring({"input": sent}, {"input": "in"}, scratch, no_blob, no_inputs)
    assert content(found["input"], "in/a.edi") == b"A"


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
async def test_two_files_of_one_folder_never_hide_each_other(scratch, names):
    sent = {"folder": [{"name": name, "text": name} for name in names]}
    with pytest.raises(InvalidError):
        await bring({"input": sent}, {"input": "in"}, scratch, no_blob, no_inputs)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (' {"n": 1}', ' {"n": 1}'),
        ({"n": 1}, '{"n":1}'),
        ([1, "a"], '[1,"a"]'),
        (5, "5"),
        ({"folder": "orders"}, '{"folder":"orders"}'),
        ({"text": "hello"}, '{"text":"hello"}'),
        ({"json": {"name": "a", "text": "b"}}, '{"name":"a","text":"b"}'),
    ],
)
async def test_a_field_that_takes_json_gets_it_as_text(scratch, sent, text):
    found = await bring({"input": sent}, {"input": "json"}, scratch, no_blob, no_inputs)
    assert found == {"input": text}


async def test_a_field_that_takes_json_takes_files_too_but_no_path(scratch, tmp_path):
    inputs = InputFolder(tmp_path / "inputs")
    paths = []
    for sent in (
        {"name": "a.json", "text": "{}"},
        {"folder": [{"name": "a.json", "text": "{}"}]},
        {"folder": [{"name": "a.json", "text": "[]"}]},
        {"name": "a.json", "text": "{}"},
    ):
        found = await bring({"input": sent}, {"input": "json"}, scratch, no_blob, lambda: inputs)
        paths.append(found["input"])
    scratch.clear()
    assert content(paths[0]) == b"{}" and content(paths[1], "a.json") == b"{}"
    assert paths[0] == paths[3] and len(set(paths)) == 3
    with pytest.raises(PathRefusedError):
        await bring({"input": "/etc/passwd"}, {"input": "json"}, scratch, no_blob, no_inputs)


async def test_errors_and_outputs_name_files_as_they_came(scratch):
    found = await bring(
        {"file": {"name": "a.edi", "text": ""}}, {"file": "in"}, scratch, no_blob, no_inputs
    )
    told = unplaced({"where": [f"{found['file']}:1: wrong"], "n": 1}, scratch)
    assert told == {"where": ["a.edi:1: wrong"], "n": 1}


async def test_what_is_written_comes_back_by_name(scratch):
    found = await bring({"out": "case.zip"}, {"out": "out"}, scratch, no_blob, no_inputs)
    write(found["out"], b"PK")
    assert [(one.name, one.data) for one in scratch.made("out")] == [("case.zip", b"PK")]


@pytest.mark.parametrize(
    "given_",
    ["/etc/passwd", "order.edi", ["/etc/passwd"], {"name": "../../x", "text": ""},
     {"name": "a\x00b", "text": ""}, {"name": "..", "text": ""}, {"name": 1, "text": ""}],
)  # fmt: skip
async def test_a_path_of_the_server_is_refused(scratch, given_):
    with pytest.raises(PathRefusedError):
        await bring({"file": given_}, {"file": "in"}, scratch, no_blob, no_inputs)


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "..", "", "a/b", "a\\b", 7])
async def test_a_place_to_write_is_a_name_alone(scratch, name):
    with pytest.raises(PathRefusedError):
        await bring({"out": name}, {"out": "out"}, scratch, no_blob, no_inputs)


@pytest.mark.parametrize("sent", [{"name": "a", "base64": "%%"}, {"name": "a"}, {}])
async def test_content_that_is_none_is_said_so(scratch, sent):
    with pytest.raises(InvalidError):
        await bring({"file": sent}, {"file": "in"}, scratch, no_blob, no_inputs)


@given(name=st.text(max_size=40), deep=st.booleans())
async def test_no_name_leads_out_of_the_folder(name, deep):
    scratch = ScratchFolder()
    sent = {"folder": [{"name": name, "text": "x"}]} if deep else {"name": name, "text": "x"}
    try:
        found = await bring({"file": sent}, {"file": "in"}, scratch, no_blob, no_inputs)
        assert found["file"].startswith(str(scratch.folder))
        inside = [path for path in scratch.folder.rglob("*") if path.is_file()]
        assert len(inside) == 1
    except InvalidError:
        pass
    finally:
        scratch.clear()
