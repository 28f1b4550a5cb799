"""CEL: the Common Expression Language by its Rust implementation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agentsquad.kernel.errors import UnsupportedError
from agentsquad.runtime.control.contract import ExpressionError


class CelExpressions:
    """Expressions without side effects; programs are kept compiled."""

    def problem(self, text: str) -> str | None:
        """Return what is wrong with an expression's syntax, None if nothing."""
        try:
            _program(text)
        except ExpressionError as error:
            return error.message
        return None

    def evaluate(self, text: str, names: Mapping[str, Any]) -> Any:
        """Return an expression's JSON value, else raise ExpressionError."""
        program = _program(text)
        try:
            return _json(program.execute(dict(names)))
        except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError) as error:
            raise ExpressionError(
                f"{text!r} has no value: {_first_line(error)}",
                hint=f"known names: {', '.join(names)}",
            ) from error


@lru_cache(maxsize=1024)
def _program(text: str) -> Any:
    try:
        import cel
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            "conditions and mappings in manifests need CEL: install 'agentsquad[cel]'",
            code="expression.extra",
        ) from error
    try:
        return cel.compile(text)
    except ValueError as error:
        raise ExpressionError(_first_line(error), hint="see the CEL language definition") from error


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    syntax = line.partition("ERROR: <input>:1:")[2].partition(" expecting ")[0]
    return f"column {syntax}" if syntax else line


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ExpressionError(
        f"the value is a {type(value).__name__}, not JSON", hint="convert it with string(…)"
    )
