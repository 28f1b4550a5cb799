"""Formats: plain JSON as bytes of a media type, and back.

JSON, YAML, MessagePack and XML, each read strictly: no key twice, no value that
JSON does not have, no deep nesting. Reading never raises anything but an
HttpError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agentsquad.kernel import canonical, manifest
from agentsquad.kernel.errors import InvalidError
from agentsquad.surfaces.rest import xml
from agentsquad.surfaces.rest.contract import BodyError, MediaTypeError


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format: its short name, media types (the first is written), and how
    it is read and written."""

    name: str
    media_types: tuple[str, ...]
    read: Callable[[bytes, int], Any]
    write: Callable[[Any], bytes]

    @property
    def content_type(self) -> str:
        """What an answer in it is called: of text that could be in several
        encodings with the one it is in (RFC 7303)."""
        return self.media_types[0] + ("; charset=utf-8" if self.name == "xml" else "")


def _read_json(data: bytes, depth_max: int) -> Any:
    return canonical.loads(data)


def _read_yaml(data: bytes, depth_max: int) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"not UTF-8 at byte {error.start}", hint="send it in UTF-8") from None
    documents = manifest.read(text, "the body")
    if len(documents) != 1:
        raise BodyError(f"{len(documents)} documents, not one", hint="send one object")
    return documents[0].value


def _write_yaml(value: Any) -> bytes:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=_without_aliases(dumper), sort_keys=False,
                          allow_unicode=True)  # fmt: skip
    return text.encode("utf-8")


def _without_aliases(dumper: Any) -> Any:
    """Return a writer that says a value in full wherever it stands: our reader
    and many others take no references."""
    return type("Plain", (dumper,), {"ignore_aliases": lambda self, data: True})


def _read_msgpack(data: bytes, depth_max: int) -> Any:
    def no_extension(code: int, held: memoryview) -> Any:
        raise BodyError(f"extension {code} is not JSON", hint="send text, numbers, lists and maps")

    try:
        value = msgspec.msgpack.decode(data, ext_hook=no_extension)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError) as error:
        raise BodyError(f"not MessagePack: {error}", hint="send one value") from None
    return value


def _write_msgpack(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return msgspec.msgpack.encode(_narrow(value))


def _narrow(value: Any) -> Any:
    """Return a value whose integers longer than 64 bits are text: MessagePack
    has none."""
    if isinstance(value, dict):
        return {name: _narrow(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_narrow(inner) for inner in value]
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return str(value) if wide else value


JSON = Format(
    name="json",
    media_types=("application/json", "text/json"),
    read=_read_json,
    write=msgspec.json.encode,
)
YAML = Format(
    name="yaml",
    media_types=("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"),
    read=_read_yaml,
    write=_write_yaml,
)
MESSAGEPACK = Format(
    name="msgpack",
    media_types=("application/msgpack", "application/vnd.msgpack", "application/x-msgpack"),
    read=_read_msgpack,
    write=_write_msgpack,
)
XML = Format(
    name="xml",
    media_types=("application/xml", "text/xml"),
    read=lambda data, depth_max: xml.loads(data, depth_max=depth_max),
    write=xml.dumps,
)
FORMATS = (JSON, YAML, MESSAGEPACK, XML)
BY_TYPE = {media_type: one for one in FORMATS for media_type in one.media_types}
SUFFIXES = {"+json": JSON, "+yaml": YAML, "+xml": XML}


def format_of(content_type: str) -> Format:
    """Return the format of a Content-Type; MediaTypeError names those there
    are."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    found = BY_TYPE.get(media_type) or next(
        (one for suffix, one in SUFFIXES.items() if media_type.endswith(suffix)), None
    )
    charset = _charset(parameters)
    if found is None or charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise MediaTypeError(
            f"{content_type[:100]!r} is not read here",
            hint="send " + ", ".join(one.media_types[0] for one in FORMATS) + " in UTF-8",
        )
    return found


def _charset(parameters: str) -> str:
    for one in parameters.split(";"):
        name, _, value = one.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def loads(data: bytes, content_type: str, *, depth_max: int) -> Any:
    """Read a body; an empty one is None, and JSON where nothing says what it
    is."""
    if not data.strip():
        return None
    found = format_of(content_type) if content_type else JSON
    try:
        value = found.read(data, depth_max)
    except BodyError:
        raise
    except InvalidError as error:
        raise BodyError(error.message, hint=error.hint, details=error.details) from None
    _check(value, depth_max)
    return value


def _check(value: Any, depth_max: int) -> None:
    """Refuse what JSON does not have, and what is nested deeper than
    wanted."""
    level = [value]
    for _ in range(depth_max + 1):
        if not level:
            return
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if any(type(name) is not str for name in one):
                    raise BodyError("a key is not text", hint="name members by text")
                deeper += [inner for inner in one.values() if type(inner) not in _FLAT]
            elif isinstance(one, list):
                deeper += [inner for inner in one if type(inner) not in _FLAT]
            elif type(one) is float:
                if one != one or one in (float("inf"), float("-inf")):
                    raise BodyError(f"{one} is not a JSON number", hint="send null or a string")
            elif type(one) not in _FLAT:
                raise BodyError(f"{type(one).__name__} is not JSON", hint="send it as text")
        level = deeper
    raise BodyError(f"nested deeper than {depth_max}", hint="flatten it")


_FLAT = (str, int, bool, type(None))
