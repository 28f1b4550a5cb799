"""Views: how outputs are laid out for people.

One function for each action that has a layout of its own; every other output is
laid out by its shape (general.py).
"""

from __future__ import annotations

from typing import Any

from agentsquad.surfaces.cli.layout import Page
from agentsquad.surfaces.cli.views import (
    access,
    chaos,
    consistency,
    deployments,
    drift,
    edi,
    flows,
    general,
    load,
    log,
    messages,
    money,
    nets,
    policy,
    proxy,
    purchase,
    readings,
    resources,
    runs,
    schedules,
    threats,
    trials,
)

VIEWS = {
    **access.VIEWS,
    **runs.VIEWS,
    **messages.VIEWS,
    **proxy.VIEWS,
    **purchase.VIEWS,
    **log.VIEWS,
    **load.VIEWS,
    **readings.VIEWS,
    **money.VIEWS,
    **resources.VIEWS,
    **policy.VIEWS,
    **edi.VIEWS,
    **flows.VIEWS,
    **consistency.VIEWS,
    **deployments.VIEWS,
    **schedules.VIEWS,
    **trials.VIEWS,
    **chaos.VIEWS,
    **drift.VIEWS,
    **nets.VIEWS,
    **threats.VIEWS,
}


def view(action: str, plain: Any, page: Page) -> None:
    """Lay one output out.

    What was done is never hidden by how it is shown: where an output does not
    have the shape its own layout expects, it is laid out by its shape.
    """
    own = Page()
    try:
        VIEWS.get(action, general.lay_out)(plain, own)
    except (KeyError, TypeError, AttributeError):
        general.lay_out(plain, page)
    else:
        page.take(own)
