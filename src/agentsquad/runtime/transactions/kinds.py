"""Kinds of transactions: Database, a place that can promise to commit."""

from __future__ import annotations

from agentsquad.kernel.resource import Kind

DATABASE = Kind(
    name="Database",
    plural="databases",
    summary="A database that transactions may go over.",
    schema={
        "type": "object",
        "description": "A database that transactions may go over.",
        "additionalProperties": False,
        "required": ["engine", "addressFrom"],
        "properties": {
            "engine": {
                "enum": ["postgresql", "mariadb"],
                "description": "What it is; mariadb is MySQL as well.",
            },
            "addressFrom": {
                "type": "string",
                "pattern": "^[A-Z][A-Z0-9_]*$",
                "title": "the name of an environment variable",
                "description": "The environment variable that holds its address: "
                "postgresql://user:password@host:5432/database or mysql://….",
                "examples": ["ORDERS_DATABASE"],
            },
            "description": {
                "type": "string",
                "description": "What it holds.",
                "examples": ["Orders and stock"],
            },
        },
    },
)
