"""The service: the operations of A2A 1.0 over a gateway, whichever binding they
came by."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from agentsquad.kernel.errors import InvalidError, MissingError
from agentsquad.kernel.jsonrpc import METHOD, RpcError
from agentsquad.surfaces.a2a import parts, receiving
from agentsquad.surfaces.a2a.card import card_of
from agentsquad.surfaces.a2a.contract import (
    CURRENT,
    ENDED,
    INPUT_REQUIRED,
    MESSAGE,
    STATES,
    STILL,
    WORKFLOW,
    ContentTypeError,
    OperationError,
    PushError,
    SkillError,
    TaskMissingError,
    TaskNotCancelableError,
)
from agentsquad.surfaces.a2a.receiving import RECEIVING
from agentsquad.surfaces.a2a.workflow import words
from agentsquad.surfaces.gateway.contract import Call, Caller, Following, Gateway

WAIT_S = 55.0  # how long an answer waits for a task that is at work
TEXT_MAX = 512
ACTION = "action:"
STREAMED = ("SendStreamingMessage", "SubscribeToTask")


class Service:
    """A2A for callers who have been let in."""

    def __init__(
        self, gateway: Gateway, *, version: str = "0", push: bool = False, base: str = ""
    ) -> None:
        """`push` says whether notifications are delivered, `base` where the
        server is reached."""
        self.gateway = gateway
        self.base = base
        self.version = version
        self.push = push

    async def answer(
        self,
        method: str,
        params: Mapping[str, Any],
        caller: Caller,
        url: str,
        spoken: str = CURRENT,
    ) -> Any:
        """Return the result of an operation that is answered at once; `spoken`
        is the generation that notifications are to be in."""
        if method == "SendMessage":
            task = await self._send(params, caller, spoken)
            if not isinstance(task, str):
                return {"message": task}
            told = params.get("configuration")
            at_once = isinstance(told, Mapping) and told.get("returnImmediately") is True
            return {"task": await self._settled(task, caller, _history(told), at_once)}
        if method == "GetTask":
            return (await self._task(_id(params), caller, _history(params)))["task"]
        if method == "ListTasks":
            return await self._list(params, caller)
        if method == "CancelTask":
            return await self._cancel(_id(params), caller)
        if method == "GetExtendedAgentCard":
            return await self.card(caller, url, str(params.get("tenant") or ""))
        if method in RECEIVING:
            return await self._receiving(method, params, caller, spoken)
        raise RpcError(f"no method {method[:100]!r}", number=METHOD)

    async def stream(
        self, method: str, params: Mapping[str, Any], caller: Caller, spoken: str = CURRENT
    ) -> AsyncIterator[dict[str, Any]]:
        """Begin an operation that is answered in pieces; return the pieces."""
        if method == "SendStreamingMessage":
            task = await self._send(params, caller, spoken)
            if not isinstance(task, str):
                return _alone({"message": task})
        else:
            task = _id(params)
            now = await self._task(task, caller)
            if now["task"]["status"]["state"] in ENDED:
                raise OperationError("the task has ended; nothing more comes")
        return self._pieces(task, caller)

    async def card(self, caller: Caller, url: str, agent: str = "") -> dict[str, Any]:
        """Return the card with every skill that there is."""
        skills = await self._skills(caller)
        if agent:
            skills = [one for one in skills if one["id"] == _skill_named(agent, skills)]
        return card_of(url, self.version, skills, agent, push=self.push)

    # --- sending

    async def _send(
        self, params: Mapping[str, Any], caller: Caller, spoken: str
    ) -> str | dict[str, Any]:
        """Start a task, or tell one more, and return its id; or carry a single
        action out and return the message that answers."""
        message = _checked(params.get("message"))
        told = params.get("configuration")
        wanted = told.get("taskPushNotificationConfig") if isinstance(told, Mapping) else None
        receiver = receiving.wanted(wanted, spoken) if wanted else None
        if receiver is not None and not self.push:
            raise PushError()
        named = message.get("taskId")
        if named:
            if receiver is not None:
                await self._call("a2a.push_set", {**receiver, "task": named}, caller, None)
            message = await self._kept(message, caller)
            return await self._tell(str(named), message, caller)
        skill = await self._skill(params, message, caller)
        message = await self._kept(message, caller)
        if skill.startswith(ACTION):
            return await self._act(skill.removeprefix(ACTION), message, caller)
        body = {"skill": skill, "message": message, "context": message.get("contextId") or ""}
        key = _key(message, caller)
        value = {
            "workflow": WORKFLOW,
            "input": msgspec.json.encode(body).decode(),
            "key": key,
            "wait": False,
        }
        answer = await self._call("runs.start", value, caller, key)
        task = str(answer["run"])
        if receiver is not None:
            body = {**receiver, "task": task, "past": True}
            await self._call("a2a.push_set", body, caller, None)
        return task

    async def _act(self, name: str, message: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Carry out a single action, with the caller's own rights."""
        operation = self.gateway.operation(name)
        _, data = words(message)
        value = parts.into(operation, data, message["parts"])
        key = _key(message, caller)
        answer = await self.gateway.call(Call(action=name, value=value, caller=caller, key=key))
        made: list[dict[str, Any]] = [{"data": answer.value, "mediaType": "application/json"}]
        for file in answer.files:
            if len(file.data) <= parts.INLINE_MAX:
                made.append(parts.whole(file))
                continue
            named = {"filename": file.name, "mediaType": file.media_type}
            made.append(parts.kept(named, await self.gateway.keep(caller, file)))
        made = (await self._filled([{"parts": made}], caller))[0]["parts"]
        context = message.get("contextId") or key
        return {"messageId": key, "role": "ROLE_AGENT", "contextId": context, "parts": made}

    async def _kept(self, message: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Return a message with its files kept as blobs."""
        found = []
        for part in message["parts"]:
            file, url = parts.brought(part), part.get("url")
            if file is not None:
                part = parts.kept(part, await self.gateway.keep(caller, file))
            elif url is not None and not str(url).startswith(parts.BLOBS):
                value = {"url": url, "media_type": str(part.get("mediaType") or "")}
                part = parts.kept(part, await self._call("a2a.fetch", value, caller, None))
            found.append(part)
        return {**message, "parts": found}

    async def _filled(
        self, artifacts: list[dict[str, Any]], caller: Caller, inline_max: int = parts.INLINE_MAX
    ) -> list[dict[str, Any]]:
        """Return artifacts with their files."""

        async def fetch(digest: str) -> bytes:
            return (await self.gateway.blob(caller, digest)).data

        base = f"{self.base}/v1/namespaces/{caller.namespace}" if self.base else ""
        return await parts.filled(artifacts, fetch, base, inline_max)

    async def _tell(self, task: str, message: dict[str, Any], caller: Caller) -> str:
        now = (await self._task(task, caller))["task"]
        if message.get("contextId") not in (None, "", now["contextId"]):
            raise InvalidError("the task is of another context", code="a2a.context")
        if now["status"]["state"] in ENDED:
            raise OperationError("the task has ended and takes no more messages")
        if now["status"]["state"] != INPUT_REQUIRED:
            raise OperationError("the task asks for nothing now")
        value = {
            "run": task,
            "name": MESSAGE,
            "payload": msgspec.json.encode(message).decode(),
            "key": f"a2a-{message['messageId']}",
        }
        await self._call("runs.signal", value, caller, None)
        return task

    async def _skill(
        self, params: Mapping[str, Any], message: Mapping[str, Any], caller: Caller
    ) -> str:
        wish = str(params.get("tenant") or "")
        for place in (params.get("metadata"), message.get("metadata")):
            if isinstance(place, Mapping) and isinstance(place.get("skill"), str):
                wish = wish or place["skill"]
        skills = await self._skills(caller)
        if not wish:
            known = ", ".join(one["id"] for one in skills[:20])
            raise SkillError(
                "which skill is meant is not said",
                hint=f'name it in metadata, {{"skill": …}}, or as tenant; there are: {known}',
            )
        return _skill_named(wish, skills)

    async def _skills(self, caller: Caller) -> list[dict[str, Any]]:
        found = await self._call("a2a.skills", {"actions": True}, caller, None)
        return list(found["items"])

    # --- being told

    async def _receiving(
        self, method: str, params: Mapping[str, Any], caller: Caller, spoken: str
    ) -> dict[str, Any]:
        """Carry out what concerns who is notified of a task."""
        if not self.push:
            raise PushError()
        task = _text(params, "taskId")
        if method == "CreateTaskPushNotificationConfig":
            value = {**receiving.wanted(params, spoken), "task": task}
            return receiving.shown(await self._call("a2a.push_set", value, caller, None))
        await self._task(task, caller, 0)
        if method == "ListTaskPushNotificationConfigs":
            found = await self._call("a2a.push_list", {"task": task}, caller, None)
            return {"configs": [receiving.shown(one) for one in found["items"]]}
        value = {"task": task, "config": "" if params.get("id") is None else _id(params)}
        if method == "GetTaskPushNotificationConfig":
            return receiving.shown(await self._call("a2a.push_show", value, caller, None))
        await self._call("a2a.push_remove", value, caller, None)
        return {}

    # --- looking

    async def _task(self, task: str, caller: Caller, history: int | None = None) -> dict[str, Any]:
        value: dict[str, Any] = {"task": task}
        if history is not None:
            value["history"] = history
        try:
            found = dict(await self._call("a2a.task", value, caller, None))
        except MissingError as error:
            raise TaskMissingError(error.message) from None
        artifacts = found["task"].get("artifacts")
        if artifacts:
            filled = await self._filled(artifacts, caller)
            found["task"] = {**found["task"], "artifacts": filled}
        return found

    async def _list(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        state = params.get("status") or ""
        if state not in ("", "TASK_STATE_UNSPECIFIED", *STATES):
            raise InvalidError(f"expected a state, not {str(state)[:40]!r}", code="a2a.params")
        size = params.get("pageSize")
        if size is not None and (not isinstance(size, int) or not 1 <= size <= 100):
            raise InvalidError("expected pageSize from 1 to 100", code="a2a.params")
        value: dict[str, Any] = {
            "state": "" if state == "TASK_STATE_UNSPECIFIED" else state,
            "artifacts": params.get("includeArtifacts") is True,
            "limit": size or 50,
        }
        names = (
            ("contextId", "context"),
            ("pageToken", "cursor"),
            ("statusTimestampAfter", "after"),
        )
        for name, ours in names:
            given = params.get(name)
            if given is not None:
                if not isinstance(given, str):
                    raise InvalidError(f"expected {name} to be a text", code="a2a.params")
                value[ours] = given
        history = _history(params)
        if history is not None:
            value["history"] = history
        page = dict(await self._call("a2a.tasks", value, caller, None))
        for task in page["tasks"]:
            if task.get("artifacts"):
                task["artifacts"] = await self._filled(task["artifacts"], caller, -1)
        return page

    async def _cancel(self, task: str, caller: Caller) -> dict[str, Any]:
        now = (await self._task(task, caller))["task"]
        if now["status"]["state"] in ENDED:
            raise TaskNotCancelableError()
        await self._call("runs.cancel", {"run": task, "reason": "asked by A2A"}, caller, None)
        return await self._settled(task, caller, None, at_once=False)

    async def _settled(
        self, task: str, caller: Caller, history: int | None, at_once: bool
    ) -> dict[str, Any]:
        """Return a task when nothing more comes of itself, or time is up."""
        if not at_once:
            try:
                async with asyncio.timeout(WAIT_S):
                    async for _ in self._pieces(task, caller):
                        pass
            except TimeoutError:
                pass
        return dict((await self._task(task, caller, history))["task"])

    async def _pieces(self, task: str, caller: Caller) -> AsyncIterator[dict[str, Any]]:
        """Return a task, then how it goes on, until nothing more comes of
        itself."""
        place = await self.gateway.place(caller)
        found = await self._task(task, caller)
        now = found["task"]
        yield {"task": now}
        said = now["status"]["state"]
        if said in STILL:
            return
        following = Following(after=min(place, found["seq"]), streams=(f"run/{task}",))
        async for event in self.gateway.follow(caller, following):
            if event.seq <= found["seq"]:
                continue
            found = await self._task(task, caller)
            now = found["task"]
            state = now["status"]["state"]
            ids = {"taskId": task, "contextId": now["contextId"]}
            for artifact in now.get("artifacts", []):
                yield {"artifactUpdate": {**ids, "artifact": artifact, "lastChunk": True}}
            if state != said or event.type == "step.completed":
                meta = {"metadata": {"event": event.seq, "type": event.type}}
                yield {"statusUpdate": {**ids, "status": now["status"], **meta}}
                said = state
            if state in STILL:
                return

    async def _call(
        self, action: str, value: Mapping[str, Any], caller: Caller, key: str | None
    ) -> Any:
        answer = await self.gateway.call(Call(action=action, value=value, caller=caller, key=key))
        return answer.value


def _checked(message: Any) -> dict[str, Any]:
    """Return a message; raises where it is none."""
    if not isinstance(message, dict):
        raise InvalidError("expected message to be an object", code="a2a.params")
    id, given = message.get("messageId"), message.get("parts")
    if not isinstance(id, str) or not 0 < len(id) <= TEXT_MAX:
        raise InvalidError("expected message.messageId to be a text", code="a2a.params")
    if message.get("role") != "ROLE_USER":
        raise InvalidError("expected message.role to be ROLE_USER", code="a2a.params")
    if not isinstance(given, list) or not given:
        raise InvalidError("expected message.parts to have at least one part", code="a2a.params")
    for name in ("taskId", "contextId"):
        value = message.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > TEXT_MAX):
            raise InvalidError(f"expected message.{name} to be a text", code="a2a.params")
    for part in given:
        if not isinstance(part, dict):
            raise InvalidError("expected each part to be an object", code="a2a.params")
        if "text" in part and not isinstance(part["text"], str):
            raise InvalidError("expected text of a part to be a text", code="a2a.params")
        for name in ("raw", "url", "filename", "mediaType"):
            if part.get(name) is not None and not isinstance(part[name], str):
                raise InvalidError(f"expected {name} of a part to be a text", code="a2a.params")
        if not any(part.get(name) is not None for name in ("text", "data", "raw", "url")):
            raise ContentTypeError("expected a part with text, data, raw or url")
    return message


def _key(message: Mapping[str, Any], caller: Caller) -> str:
    """Return what is the same for the same message of the same sender."""
    who = f"{caller.principal.actor} {caller.namespace} {message['messageId']}"
    return "a2a-" + hashlib.sha256(who.encode()).hexdigest()[:32]


async def _alone(piece: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield piece


def _skill_named(wish: str, skills: list[dict[str, Any]]) -> str:
    """Return the id of the skill that is meant, by id or by name."""
    for one in skills:
        if wish in (one["id"], one["name"]):
            return str(one["id"])
    raise SkillError(f"no skill {wish[:100]!r}", hint="the extended agent card lists them")


def _id(params: Mapping[str, Any]) -> str:
    return _text(params, "id")


def _text(params: Mapping[str, Any], name: str) -> str:
    found = params.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= TEXT_MAX:
        raise InvalidError(f"expected {name} to be a text", code="a2a.params")
    return found


def _history(params: Any) -> int | None:
    found = params.get("historyLength") if isinstance(params, Mapping) else None
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < 0):
        raise InvalidError("expected historyLength to be a whole number", code="a2a.params")
    return found
