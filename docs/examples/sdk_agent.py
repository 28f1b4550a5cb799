"""A plain script on the SDK of OpenAI: a question, a tool, an answer.

It knows nothing of Agent Squad: `squad proxy -- python sdk_agent.py` records
it, and `squad proxy --replay RUN -- python sdk_agent.py` runs it offline again.
"""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def weather(city: str) -> str:
    """Say what the weather is."""
    return f"It rains in {city}."


def main() -> None:
    """Ask, do what the model asks for, and print its answer as it comes."""
    client = OpenAI()
    messages: list[Any] = [{"role": "user", "content": "Do I need an umbrella in Paris?"}]
    first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    message = first.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or []:
        found = weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    stream = client.chat.completions.create(
        model="gpt-4o", messages=messages, tools=[WEATHER], stream=True
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
