"""Blobs: bytes kept under their digest.

A blob is given as it is, never as what it says it is: a browser downloads it
and does not open it.
"""

from __future__ import annotations

import re

from agentsquad.surfaces.gateway.contract import File
from agentsquad.surfaces.rest.asked import Asked
from agentsquad.surfaces.rest.contract import MediaTypeError, ParameterError
from agentsquad.surfaces.rest.reply import Reply

DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}")
BYTES = "application/octet-stream"


async def keep_blob(asked: Asked) -> Reply:
    """Keep the body as a blob."""
    caller = await asked.caller()
    media_type = asked.request.headers.get("content-type", BYTES).partition(";")[0].strip()
    if MEDIA_TYPE.fullmatch(media_type) is None:
        raise MediaTypeError(f"{media_type[:80]!r} is not a media type", hint=f"e.g. {BYTES}")
    kept = await asked.gateway.keep(
        caller, File(name="", data=asked.body, media_type=media_type.lower())
    )
    digest = str(kept["$blob"])
    place = asked.request.url.path.rstrip("/") + "/" + digest
    return Reply(value=dict(kept), status=201, headers={"Location": place})


async def give_blob(asked: Asked) -> Reply:
    """Return the bytes of a blob."""
    found = DIGEST.fullmatch(asked.path["digest"])
    if found is None:
        raise ParameterError(
            "a blob is named by its digest", hint="sha256: and 64 hexadecimal digits"
        )
    file = await asked.gateway.blob(await asked.caller(), "sha256:" + found[1])
    return Reply(
        data=file.data,
        media_type=BYTES,
        revision=found[1],
        headers={"Content-Disposition": f'attachment; filename="{found[1]}"'},
    )
