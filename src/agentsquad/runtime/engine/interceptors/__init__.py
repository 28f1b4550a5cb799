"""The call path, one file an interceptor, in the order of `STANDARD`."""

from __future__ import annotations

from agentsquad.runtime.engine.door import Interceptor
from agentsquad.runtime.engine.interceptors.admit import admit
from agentsquad.runtime.engine.interceptors.attempt import attempt
from agentsquad.runtime.engine.interceptors.authorize import authorize
from agentsquad.runtime.engine.interceptors.confine import confine
from agentsquad.runtime.engine.interceptors.effect import effect
from agentsquad.runtime.engine.interceptors.execute import execute
from agentsquad.runtime.engine.interceptors.guard import guard
from agentsquad.runtime.engine.interceptors.place import place
from agentsquad.runtime.engine.interceptors.retry import retry
from agentsquad.runtime.engine.interceptors.validate import validate

STANDARD: tuple[Interceptor, ...] = (
    validate,
    confine,
    authorize,
    place,
    guard,
    admit,
    effect,
    retry,
    attempt,
    execute,
)
