"""An agent of LangGraph with one tool, as its tutorial builds one.

It knows nothing of Agent Squad: `squad proxy -- python langgraph_agent.py`
records it, and `squad proxy --replay RUN -- python langgraph_agent.py` runs it
offline again. It needs `langgraph` and `langchain-openai`.
"""

from __future__ import annotations

from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition


@tool
def weather(city: str) -> str:
    """Say what the weather is in a city."""
    return f"It rains in {city}."


def graph() -> Any:
    """Return the agent: the model, its tool, and the way between them."""
    model = ChatOpenAI(model="gpt-4o").bind_tools([weather])

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    built = StateGraph(MessagesState)
    built.add_node("think", think)
    built.add_node("tools", ToolNode([weather]))
    built.add_edge(START, "think")
    built.add_conditional_edges("think", tools_condition)
    built.add_edge("tools", "think")
    return built.compile()


def main() -> None:
    """Ask one question and print the answer."""
    question = {"messages": [("user", "Do I need an umbrella in Paris?")]}
    print(graph().invoke(question)["messages"][-1].content)


if __name__ == "__main__":
    main()
