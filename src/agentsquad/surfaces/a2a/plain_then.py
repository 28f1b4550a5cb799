"""HTTP+JSON as 0.3 has it, where objects have the names of its protobuf. Pure.

Apart from `generations`: over JSON-RPC that generation wrote the same objects
otherwise.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from agentsquad.surfaces.a2a import generations
from agentsquad.surfaces.a2a.contract import CANCELED
from agentsquad.surfaces.a2a.parts import is_file

CANCELLED = "TASK_STATE_CANCELLED"


def params_now(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request as those of 1.0; a message may be
    written either way."""
    body = dict(params)
    if "request" in body:
        body["message"] = _message_now(body.pop("request"))
    elif method in ("SendMessage", "SendStreamingMessage"):
        return generations.params_now(method, params)
    elif method == "CreateTaskPushNotificationConfig":
        return _receiver_now(body)
    told = body.get("configuration")
    if isinstance(told, Mapping):
        named = ("pushNotification", "push_notification", "pushNotificationConfig")
        given = next((told[name] for name in named if name in told), None)
        told = {key: one for key, one in told.items() if key not in named}
        if given is not None:
            told["taskPushNotificationConfig"] = generations.receiver_now(given)
        body["configuration"] = told
    # Protobuf writes nothing that is false.
    if isinstance(told, Mapping) and told.get("blocking") is not True and "blocking" in told:
        body["configuration"] = {**told, "returnImmediately": True}
    return body


def _receiver_now(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return who is to be notified; the task is named in the path."""
    config = body.get("config")
    given: Any = body
    if isinstance(config, Mapping):
        given = config.get("pushNotificationConfig", config.get("push_notification_config"))
    found = generations.receiver_now(given)
    found = dict(found) if isinstance(found, Mapping) else {}
    named = body.get("configId", body.get("config_id"))
    return {**found, "id": found.get("id") or named, "taskId": body.get("taskId")}


def _receiver_then(found: Mapping[str, Any]) -> dict[str, Any]:
    then = generations.receiver_then(found)
    name = f"tasks/{found['taskId']}/pushNotificationConfigs/{found['id']}"
    return {"name": name, "pushNotificationConfig": then["pushNotificationConfig"]}


def _message_now(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    names = {"message_id": "messageId", "context_id": "contextId", "task_id": "taskId"}
    body = {names.get(key, key): value for key, value in message.items() if key != "content"}
    content = message.get("content")
    body["parts"] = [_part_now(part) for part in content] if isinstance(content, list) else content
    return body


def _part_now(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    found = dict(part)
    data, file = part.get("data"), part.get("file")
    if isinstance(data, Mapping):
        found["data"] = data.get("data", {})
    if isinstance(file, Mapping):
        del found["file"]
        names = {
            "fileWithUri": "url", "fileWithBytes": "raw", "mimeType": "mediaType",
            "name": "filename", "file_with_uri": "url", "file_with_bytes": "raw",
            "mime_type": "mediaType",
        }  # fmt: skip
        found |= {names[key]: value for key, value in file.items() if key in names}
        if "file_with_bytes" in file:
            found["raw"] = _once(found["raw"])
    return found


def _part_then(part: Mapping[str, Any]) -> dict[str, Any]:
    if "data" in part:
        data = part["data"]
        return {"data": {"data": data if isinstance(data, dict) else {"value": data}}}
    if is_file(part):
        file = {"fileWithUri": part["url"]} if "url" in part else {"fileWithBytes": _twice(part)}
        file |= {"mimeType": part.get("mediaType", ""), "name": part.get("filename", "")}
        return {"file": file}
    return {"text": part.get("text", "")}


def _once(raw: Any) -> Any:
    """Return base64 that was encoded twice: the official libraries of that
    generation put base64 into a field of bytes, which JSON has as base64."""
    try:
        return base64.b64decode(raw, validate=True).decode("ascii")
    except (binascii.Error, ValueError, TypeError):
        return raw


def _twice(part: Mapping[str, Any]) -> str:
    return base64.b64encode(str(part["raw"]).encode()).decode()


def _message_then(message: Mapping[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in message.items() if key != "parts"}
    return {**body, "content": [_part_then(part) for part in message.get("parts", [])]}


def _status_then(status: Mapping[str, Any]) -> dict[str, Any]:
    body = dict(status)
    if status["state"] == CANCELED:
        body["state"] = CANCELLED
    if "message" in status:
        body["message"] = _message_then(status["message"])
    return body


def _artifact_then(artifact: Mapping[str, Any]) -> dict[str, Any]:
    return {**artifact, "parts": [_part_then(part) for part in artifact["parts"]]}


def task_then(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task."""
    body = {**task, "status": _status_then(task["status"])}
    if "artifacts" in task:
        body["artifacts"] = [_artifact_then(one) for one in task["artifacts"]]
    if "history" in task:
        body["history"] = [_message_then(one) for one in task["history"]]
    return body


def result_then(method: str, result: Any) -> Any:
    """Return a 1.0 result."""
    if method == "SendMessage":
        if "message" in result:
            return {"message": _message_then(result["message"])}
        return {"task": task_then(result["task"])}
    if method in ("GetTask", "CancelTask"):
        return task_then(result)
    if method == "ListTasks":
        return {**result, "tasks": [task_then(one) for one in result["tasks"]]}
    if method in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return _receiver_then(result)
    if method == "ListTaskPushNotificationConfigs":
        return {"configs": [_receiver_then(one) for one in result["configs"]]}
    return result


def streamed_then(event: Mapping[str, Any], ended: bool) -> dict[str, Any]:
    """Return a piece of a stream; `ended` says that nothing follows."""
    if "message" in event:
        return {"message": _message_then(event["message"])}
    if "task" in event:
        return {"task": task_then(event["task"])}
    if "statusUpdate" in event:
        update = event["statusUpdate"]
        status = _status_then(update["status"])
        return {"statusUpdate": {**update, "status": status, "final": ended}}
    update = event["artifactUpdate"]
    return {"artifactUpdate": {**update, "artifact": _artifact_then(update["artifact"])}}


def failure_then(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error: its name and its words."""
    words = str(error["details"][0]["reason"]).replace(".", "_").split("_")
    name = "".join(word.capitalize() for word in words) + "Error"
    return {"type": name, "message": error["message"]}
