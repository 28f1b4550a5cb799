"""Generations: the objects of 0.3 as those of 1.0, and back. Pure.

Everything inside speaks 1.0; this is the only place that knows what 0.3 calls
things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METHODS = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/list": "ListTasks",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
    "agent/getAuthenticatedExtendedCard": "GetExtendedAgentCard",
}
RECEIVERS = (
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
)
PREFIX = "TASK_STATE_"


def state_then(state: str) -> str:
    """Return a state as 0.3 writes it."""
    return state.removeprefix(PREFIX).lower().replace("_", "-")


def state_now(state: str) -> str:
    """Return a state as 1.0 writes it; an empty one stays so."""
    if not state or state.startswith(PREFIX):
        return state
    return PREFIX + state.upper().replace("-", "_")


def part_now(part: Any) -> Any:
    """Return a part of a 0.3 message."""
    if not isinstance(part, Mapping):
        return part
    meta = {"metadata": part["metadata"]} if "metadata" in part else {}
    kind = part.get("kind")
    if kind == "text":
        return {"text": part.get("text"), **meta}
    if kind == "data":
        return {"data": part.get("data"), **meta}
    if kind == "file":
        file = part.get("file")
        file = file if isinstance(file, Mapping) else {}
        names = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}
        return {names[k]: v for k, v in file.items() if k in names} | meta
    return dict(part)


def part_then(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part for 0.3."""
    meta = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "text" in part:
        return {"kind": "text", "text": part["text"], **meta}
    if "data" in part:
        data = part["data"]
        return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}, **meta}
    names = {"raw": "bytes", "url": "uri", "filename": "name", "mediaType": "mimeType"}
    file = {names[key]: value for key, value in part.items() if key in names}
    return {"kind": "file", "file": file, **meta}


def message_now(message: Any) -> Any:
    """Return a message of 0.3."""
    if not isinstance(message, Mapping):
        return message
    body = {key: value for key, value in message.items() if key != "kind"}
    role = body.get("role")
    if role in ("user", "agent"):
        body["role"] = f"ROLE_{role.upper()}"
    if isinstance(body.get("parts"), list):
        body["parts"] = [part_now(part) for part in body["parts"]]
    return body


def message_then(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message for 0.3."""
    body = {**message, "kind": "message"}
    body["role"] = str(message.get("role", "")).removeprefix("ROLE_").lower() or "user"
    body["parts"] = [part_then(part) for part in message.get("parts", [])]
    return body


def status_then(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status for 0.3."""
    body = {**status, "state": state_then(status["state"])}
    if "message" in status:
        body["message"] = message_then(status["message"])
    return body


def artifact_then(artifact: Mapping[str, Any]) -> dict[str, Any]:
    """Return an artifact for 0.3."""
    return {**artifact, "parts": [part_then(part) for part in artifact["parts"]]}


def task_then(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task for 0.3."""
    body = {**task, "kind": "task", "status": status_then(task["status"])}
    if "artifacts" in task:
        body["artifacts"] = [artifact_then(one) for one in task["artifacts"]]
    if "history" in task:
        body["history"] = [message_then(one) for one in task["history"]]
    return body


def streamed_then(event: Mapping[str, Any], ended: bool) -> dict[str, Any]:
    """Return what is streamed, for 0.3; `ended` says that nothing follows."""
    if "message" in event:
        return message_then(event["message"])
    if "task" in event:
        return task_then(event["task"])
    if "statusUpdate" in event:
        update = event["statusUpdate"]
        status = status_then(update["status"])
        return {**update, "kind": "status-update", "status": status, "final": ended}
    update = event["artifactUpdate"]
    return {**update, "kind": "artifact-update", "artifact": artifact_then(update["artifact"])}


def params_now(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a 0.3 request as those of 1.0."""
    body = dict(params)
    if method in ("SendMessage", "SendStreamingMessage"):
        body["message"] = message_now(params.get("message"))
        told = params.get("configuration")
        if isinstance(told, Mapping):
            configuration = {k: v for k, v in told.items() if k != "blocking"}
            if told.get("blocking") is False:
                configuration["returnImmediately"] = True
            if "pushNotificationConfig" in configuration:
                configuration["taskPushNotificationConfig"] = receiver_now(
                    configuration.pop("pushNotificationConfig")
                )
            body["configuration"] = configuration
    elif method == "CreateTaskPushNotificationConfig":
        given = receiver_now(body.pop("pushNotificationConfig", None))
        if isinstance(given, Mapping):
            body = {**given, "taskId": params.get("taskId")}
    elif method in RECEIVERS:
        body["taskId"] = body.pop("id", None)
        body["id"] = body.pop("pushNotificationConfigId", None)
    return body


def receiver_now(given: Any) -> Any:
    """Return who is to be notified, of 0.3."""
    if not isinstance(given, Mapping):
        return given
    body = dict(given)
    shown = body.get("authentication")
    if isinstance(shown, Mapping):
        schemes = shown.get("schemes")
        named = (
            [one for one in schemes if isinstance(one, str)] if isinstance(schemes, list) else []
        )
        if not shown.get("credentials"):  # of several the one that a signature can do
            named = [one for one in named if one.lower() == "bearer"] or named
        body["authentication"] = {
            "scheme": named[0] if named else None,
            "credentials": shown.get("credentials"),
        }
    return body


def receiver_then(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return who is notified, for 0.3."""
    body = {"id": found["id"], "url": found["url"]}
    if "authentication" in found:
        body["authentication"] = {"schemes": [found["authentication"]["scheme"]]}
    return {"taskId": found["taskId"], "pushNotificationConfig": body}


def result_then(method: str, result: Any) -> Any:
    """Return a 1.0 result as 0.3 gives it."""
    if method == "SendMessage":
        if "message" in result:
            return message_then(result["message"])
        return task_then(result["task"])
    if method in ("GetTask", "CancelTask"):
        return task_then(result)
    if method == "ListTasks":
        return {**result, "tasks": [task_then(one) for one in result["tasks"]]}
    if method in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return receiver_then(result)
    if method == "ListTaskPushNotificationConfigs":
        return [receiver_then(one) for one in result["configs"]]
    if method == "DeleteTaskPushNotificationConfig":
        return None
    return result
