"""The vendors' own clients judge our test servers, our signatures and our
framing.

A server that we wrote and a client that we wrote may agree on a mistake; these
clients were written by others. They are development dependencies only.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsquad.integrations.connectors.ai.bedrock.contract import AwsCredentials
from agentsquad.integrations.connectors.ai.bedrock.eventstream import EventStreamParser
from agentsquad.integrations.connectors.ai.bedrock.sigv4 import (
    Scope,
    Signable,
    sign,
)
from agentsquad.integrations.connectors.ai.contract import Secret

_spec = importlib.util.spec_from_file_location(
    "model_wire_judged", Path(__file__).with_name("model_wire.py")
)
assert _spec is not None and _spec.loader is not None
wire = importlib.util.module_from_spec(_spec)
sys.modules["model_wire_judged"] = wire
_spec.loader.exec_module(wire)

ASK: Any = [{"role": "user", "content": "Say hello."}]
ORDER: Any = [{"role": "user", "content": "Where is order 4711?"}]
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "integer"}}}


async def test_openai_reads_our_completions() -> None:
    sdk = pytest.importorskip("openai")
    async with wire.WireServer(wire.OpenAi()) as server:
        client = sdk.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0)
        whole = await client.chat.completions.create(model="gpt-4o", messages=ASK)
        assert whole.choices[0].message.content == wire.TEXT
        assert whole.usage.prompt_tokens_details.cached_tokens == wire.CACHED_TOKENS
        function = {"name": "orders__status", "description": "d", "parameters": PARAMETERS}
        called = await client.chat.completions.create(
            model="gpt-4o", messages=ORDER, tools=[{"type": "function", "function": function}]
        )
        assert called.choices[0].finish_reason == "tool_calls"
        arguments = called.choices[0].message.tool_calls[0].function.arguments
        assert json.loads(arguments)["order_id"] == 4711
        server.plan.append(wire.Fault(status=429, headers={"retry-after": "1"}))
        with pytest.raises(sdk.RateLimitError):
            await client.chat.completions.create(model="gpt-4o", messages=ASK)
        await client.close()


async def test_openai_reads_our_streams() -> None:
    sdk = pytest.importorskip("openai")
    async with wire.WireServer(wire.OpenAi()) as server:
        client = sdk.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0)
        text, usage = "", None
        server.plan.append(wire.Fault(piece=3))
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            usage = chunk.usage or usage
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert text == wire.TEXT
        assert usage is not None and usage.completion_tokens == wire.OUTPUT_TOKENS
        server.plan.append(wire.Fault(mid_stream_error=True))
        with pytest.raises(sdk.APIError):
            async for _ in await client.chat.completions.create(
                model="gpt-4o", messages=ASK, stream=True
            ):
                pass
        await client.close()


async def test_anthropic_reads_our_messages() -> None:
    sdk = pytest.importorskip("anthropic")
    async with wire.WireServer(wire.Anthropic()) as server:
        client = sdk.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0)
        whole = await client.messages.create(model="claude-x", max_tokens=50, messages=ASK)
        assert whole.content[0].text == wire.TEXT
        assert whole.usage.cache_read_input_tokens == wire.CACHED_TOKENS
        tool = {"name": "orders__status", "description": "d", "input_schema": PARAMETERS}
        called = await client.messages.create(
            model="claude-x", max_tokens=50, messages=ORDER, tools=[tool]
        )
        assert called.stop_reason == "tool_use"
        assert called.content[-1].input["order_id"] == 4711
        server.plan.append(wire.Fault(status=529))
        with pytest.raises(sdk.APIStatusError) as caught:
            await client.messages.create(model="claude-x", max_tokens=50, messages=ASK)
        assert caught.value.status_code == 529
        await client.close()


async def test_anthropic_reads_our_streams() -> None:
    sdk = pytest.importorskip("anthropic")
    async with wire.WireServer(wire.Anthropic()) as server:
        client = sdk.AsyncAnthropic(base_url=server.url, api_key="k", max_retries=0)
        server.plan.append(wire.Fault(piece=5))
        async with client.messages.stream(model="claude-x", max_tokens=50, messages=ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
        assert text == wire.TEXT
        assert final.usage.output_tokens == wire.OUTPUT_TOKENS
        tool = {"name": "orders__status", "description": "d", "input_schema": PARAMETERS}
        async with client.messages.stream(
            model="claude-x", max_tokens=50, messages=ORDER, tools=[tool]
        ) as stream:
            final = await stream.get_final_message()
        assert final.content[-1].input == {"order_id": 4711, "note": "ünï"}
        server.plan.append(wire.Fault(mid_stream_error=True))
        with pytest.raises(sdk.APIError):
            async with client.messages.stream(
                model="claude-x", max_tokens=50, messages=ASK
            ) as stream:
                await stream.get_final_message()
        await client.close()


def bedrock_client(url: str) -> Any:
    botocore = pytest.importorskip("botocore.session")
    return botocore.Session().create_client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
    )


@pytest.mark.slow
async def test_botocore_reads_our_converse_and_its_stream() -> None:
    async with wire.WireServer(wire.Bedrock()) as server:

        def judge() -> None:
            client = bedrock_client(server.url)
            messages = [{"role": "user", "content": [{"text": "Say hello."}]}]
            model = "anthropic.claude-3-haiku-20240307-v1:0"
            whole = client.converse(modelId=model, messages=messages)
            assert whole["output"]["message"]["content"][0]["text"] == wire.TEXT
            assert whole["usage"]["cacheReadInputTokens"] == wire.CACHED_TOKENS
            events = list(client.converse_stream(modelId=model, messages=messages)["stream"])
            deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if is_delta(e)]
            assert "".join(deltas) == wire.TEXT
            assert events[-2]["messageStop"]["stopReason"] == "end_turn"
            assert events[-1]["metadata"]["usage"]["outputTokens"] == wire.OUTPUT_TOKENS
            client.close()

        await asyncio.to_thread(judge)
        assert server.seen[0].path.endswith("-v1%3A0/converse")


def is_delta(event: dict[str, Any]) -> bool:
    return "contentBlockDelta" in event


# Signatures AWS publishes with its signing test suite: key AKIDEXAMPLE,
# us-east-1, "service", 2015-08-30T12:36:00Z, host example.amazonaws.com.
PUBLISHED = [
    ("GET", "/", (), {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        "/",
        (("Param2", "value2"), ("Param1", "value1")),
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    ("GET", "/ሴ", (), {}, b"", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    (
        "GET",
        "/",
        (),
        {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "POST",
        "/",
        (),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": "13",
            "x-amz-content-sha256": (
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
            ),
        },
        b"Param1=value1",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
]
EXAMPLE = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SCOPE = Scope("20150830T123600Z", "us-east-1", "service")


@pytest.mark.parametrize(("method", "path", "query", "headers", "body", "signature"), PUBLISHED)
def test_signatures_are_the_published_ones(
    method: str, path: str, query: Any, headers: dict[str, str], body: bytes, signature: str
) -> None:
    request = Signable(
        method=method,
        path=path,
        query=query,
        headers={"Host": "example.amazonaws.com", **headers},
        body=body,
    )
    added = sign(request, AwsCredentials("AKIDEXAMPLE", Secret(EXAMPLE)), SCOPE)
    assert added["authorization"].endswith(f"Signature={signature}")


def test_the_published_signature_with_a_session_token() -> None:
    token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
    keys = AwsCredentials("AKIDEXAMPLE", Secret(EXAMPLE), Secret(token))
    request = Signable(method="GET", path="/", headers={"Host": "example.amazonaws.com"})
    added = sign(request, keys, SCOPE)
    assert added["x-amz-security-token"] == token
    expected = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    assert added["authorization"].endswith(expected)


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1), max_size=4
    ),
    st.binary(max_size=60),
    st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=12),
)
def test_botocore_signs_any_request_alike(parts: list[str], body: bytes, value: str) -> None:
    auth = pytest.importorskip("botocore.auth")
    from urllib.parse import quote

    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    path = "/" + "/".join(quote(part, safe="") for part in parts)
    headers = {"host": "h.amazonaws.com", "x-amz-date": "20250102T030405Z", "x-thing": value}
    judge = auth.SigV4Auth(Credentials("AK", "SK"), "bedrock", "us-west-2")
    theirs = AWSRequest("POST", f"https://h.amazonaws.com{path}", headers=headers, data=body)
    theirs.context["timestamp"] = "20250102T030405Z"
    canonical = judge.canonical_request(theirs)
    signature = judge.signature(judge.string_to_sign(theirs, canonical), theirs)
    ours = sign(
        Signable(
            method="POST",
            path=path,
            headers={"host": "h.amazonaws.com", "x-thing": value},
            body=body,
        ),
        AwsCredentials("AK", Secret("SK")),
        Scope("20250102T030405Z", "us-west-2", "bedrock"),
    )
    assert ours["authorization"].endswith(f"Signature={signature}")


names = st.text(st.characters(codec="ascii", categories=("L",)), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.dictionaries(names, names, max_size=4), st.binary(max_size=90))))
def test_botocore_and_we_read_the_same_frames(frames: list[tuple[dict[str, str], bytes]]) -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    data = b"".join(wire.frame(headers, payload) for headers, payload in frames)
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(data)
    theirs = [(event.headers, event.payload) for event in buffer]
    ours = [(f.headers, f.payload) for f in EventStreamParser().feed(data)]
    assert ours == theirs == frames
