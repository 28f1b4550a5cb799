"""Files in messages and artifacts, and single actions as skills; the official
client as judge."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.surfaces.a2a.test_a2a_judged import FACES, all_of, connected, plain, sent
from tests.surfaces.a2a.test_a2a_wire import message, rpc
from tests.surfaces.mcp.conftest import ask

from agentsquad.kernel.errors import DeniedError, InvalidError, MissingError
from agentsquad.surfaces.a2a import parts
from agentsquad.surfaces.a2a.adapters.webhooks import FILE_MAX, HttpWebhooks
from agentsquad.surfaces.a2a.contract import Webhooks
from agentsquad.surfaces.a2a.reachable import allowed
from agentsquad.surfaces.gateway.contract import Field, Operation

TEXT = "a letter\n"


def with_file(skill: str, data: Any = None, **file: Any) -> Any:
    from a2a.types import Part

    request = sent(skill, data=data)
    request.message.parts.append(Part(filename="letter.txt", media_type="text/plain", **file))
    return request


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_file_that_comes_along_is_kept_and_comes_back(
    office: Any, served: Any, version: str, binding: str
) -> None:
    async with served(office.app()) as url, connected(url, version, binding) as client:
        request = with_file("workflow:keeping", {"n": 1}, raw=TEXT.encode())
        [event] = await all_of(client.send_message(request))
    task = plain(event.task)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
    data, file = task["artifacts"][0]["parts"]
    [kept] = data["data"]["given"]["files"]
    assert data["data"]["given"]["n"] == 1
    assert (kept["name"], kept["media_type"], kept["size"]) == ("letter.txt", "text/plain", 9)
    assert base64.b64decode(file["raw"]).decode() == TEXT
    assert (file["filename"], file["mediaType"]) == ("letter.txt", "text/plain")
    assert await office.squad.world.blobs.get(kept["$blob"]) == TEXT.encode()
    started = await office.squad.world.store.read(types=["run.started"])
    assert base64.b64encode(TEXT.encode()).decode() not in str(started)  # by reference only


@pytest.mark.parametrize(("version", "binding"), FACES)
async def test_a_single_action_is_a_skill_that_answers_at_once_with_its_files(
    office: Any, served: Any, version: str, binding: str
) -> None:
    async with served(office.app()) as url, connected(url, version, binding) as client:
        request = with_file("action:sums.report", {"out": "r.txt"}, raw=TEXT.encode())
        [event] = await all_of(client.send_message(request))
        answer = plain(event.message)
        assert answer["role"] == "ROLE_AGENT"
        data, file = answer["parts"]
        assert data["data"] == {"length": 9}
        assert base64.b64decode(file["raw"]).decode() == "9 characters\n"
        assert file["filename"] == "r.txt"
        [again] = await all_of(client.send_message(request))
        assert plain(again.message) == answer  # once carried out, whatever was lost
    async with (
        served(office.app()) as url,
        connected(url, version, binding, streaming=True) as client,
    ):
        request = sent("action:sums.add", data={"a": 4}, id="m2")
        [event] = await all_of(client.send_message(request))
        assert plain(event.message)["parts"][0]["data"] == {"sum": 5}


async def test_a_file_that_is_only_named_is_fetched_once_and_kept(office: Any, served: Any) -> None:
    asked: list[str] = []

    async def give(request: Request) -> Response:
        asked.append(request.url.path)
        if request.url.path == "/big":
            return Response(b"x" * (FILE_MAX + 1))
        if request.url.path == "/gone":
            return Response(status_code=410)
        return Response(TEXT, media_type="text/plain")

    files = Starlette(routes=[Route("/{name}", give)])
    office.squad.world.ports.put(Webhooks, HttpWebhooks(True, allowed("127.0.0.1")))
    async with served(files) as there:
        body = message("workflow:keeping", parts=[{"url": f"{there}/letter", "filename": "l"}])
        reply = await ask(office.app(), rpc("SendMessage", body), path="/a2a")
        task = reply.json()["result"]["task"]
        [kept] = task["artifacts"][0]["parts"][0]["data"]["given"]["files"]
        assert await office.squad.world.blobs.get(kept["$blob"]) == TEXT.encode()
        assert asked == ["/letter"]
        assert task["history"][0]["parts"][0]["url"] == f"squad://blobs/{kept['$blob']}"
        for name in ("big", "gone"):
            body = message("workflow:keeping", parts=[{"url": f"{there}/{name}"}])
            reply = await ask(office.app(), rpc("SendMessage", body), path="/a2a")
            assert reply.json()["error"]["data"][0]["metadata"]["code"] == "a2a.file"


async def test_large_files_are_given_by_their_address(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "INLINE_MAX", 1)
    raw = base64.b64encode(b"x" * (parts.INLINE_MAX + 2**20)).decode()
    body = message("workflow:keeping", parts=[{"raw": raw, "filename": "big"}])
    app = office.app(base="https://squad.example")
    reply = await ask(app, rpc("SendMessage", body), path="/a2a")
    [_, file] = reply.json()["result"]["task"]["artifacts"][0]["parts"]
    assert file["url"].startswith("https://squad.example/v1/namespaces/default/blobs/sha256:")
    assert "raw" not in file


async def test_who_signs_in_sees_actions_and_nobody_is_lent_another_s_rights(office: Any) -> None:
    app = office.app()
    reply = await ask(app, rpc("GetExtendedAgentCard"), path="/a2a")
    ids = {one["id"] for one in reply.json()["result"]["skills"]}
    assert {"action:sums.add", "action:edi.check"} <= ids
    assert not {one for one in ids if one.startswith(("action:approvals.", "action:users."))}

    allow = office.gateway._access.require

    async def refuse(principal: Any, ask: Any) -> Any:
        if ask.verb.startswith("sums."):
            raise DeniedError("no role allows it", code="access.denied")
        return await allow(principal, ask)

    office.gateway._access.require = refuse
    reply = await ask(app, rpc("SendMessage", message("action:sums.add")), path="/a2a")
    error = reply.json()["error"]
    assert error["data"][0]["metadata"]["code"] == "access.denied"


async def test_skills_and_tasks_need_no_store_of_their_own(tmp_path: Any) -> None:
    from agentsquad.assembly.settings import read
    from agentsquad.assembly.squad import Squad

    squad = Squad(read({}, home=str(tmp_path / "none")))
    found = await squad.invoke("a2a.skills", {})
    assert "workflow:purchase-to-pay" in {one.id for one in found.items}
    assert (await squad.invoke("a2a.tasks", {}))["tasks"] == []
    assert (await squad.invoke("tools.list", {})).items == []
    assert (await squad.invoke("a2a.push_list", {})).items == []
    failing = {
        "a2a.task": {"task": "x"},
        "a2a.push_set": {"task": "x", "url": "https://client.example"},
        "a2a.push_remove": {"task": "x"},
        "a2a.push_again": {"task": "x"},
        "tools.pin": {"server": "x"},
    }
    for action, value in failing.items():
        with pytest.raises(MissingError):
            await squad.invoke(action, value)
    await squad.close()
    assert not (tmp_path / "none").exists()


def test_files_go_into_the_fields_that_take_them() -> None:
    def field(name: str, file: Any, kind: str = "text") -> Field:
        return Field(name=name, kind=kind, required=False, file=file)

    def part(digest: str, **meta: Any) -> dict[str, Any]:
        return {"url": parts.BLOBS + digest, "filename": digest, "metadata": meta}

    fields = (field("one", "in"), field("rest", "in", "list"), field("out", "out"))
    operation = Operation(action="x.y", path=("x",), summary="", effect="read", fields=fields)
    found = parts.into(operation, {"n": 1}, [part("a"), part("b"), part("c")])
    assert found == {
        "n": 1,
        "one": {"name": "a", "$blob": "a"},
        "rest": [{"name": "b", "$blob": "b"}, {"name": "c", "$blob": "c"}],
    }
    named = parts.into(operation, None, [part("a", field="rest"), part("b")])
    assert named["one"]["name"] == "b"
    for field_name in ("out", "nothing"):
        with pytest.raises(InvalidError):
            parts.into(
                Operation(action="x.y", path=("x",), summary="", effect="read", fields=fields[2:]),
                None,
                [part("a", field=field_name)],
            )
    with pytest.raises(InvalidError):
        parts.into(operation, [1], [])
