"""How fast X12 is read, checked and written here, with pyx12 beside it where
it is installed.

One core, one process, best of three. `parse` finds every envelope and
transaction set; `split` also splits every segment into its elements, `keep`
holds all of them in memory at once, with where each stood; `stream` goes
through the file one transaction set at a time; `read` builds the typed
purchase orders; `check` validates everything; `write` makes the bytes again.
The targets are 20 MB/s for parse and split together and 5 MB/s for check.

    python bench/edi.py [--megabytes 20]
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import time
from collections.abc import Callable

from agentsquad.integrations.formats.x12 import (
    Endpoint,
    Envelope,
    check,
    compose,
    documents,
    iter_transactions,
    parse,
    write,
)

TARGETS = {"parse + split": 20.0, "check": 5.0}


def sample(megabytes: float) -> bytes:
    """Return an interchange of purchase orders of about the given size."""
    lines = tuple(
        documents.OrderLine(
            number=str(n),
            quantity=str(10 * n),
            unit="EA",
            price=f"{n}.95",
            ids=(documents.ProductId(qualifier="VN", value=f"WIDGET-{n:05d}"),),
            description=f"Widget number {n}, painted",
            dates=(documents.Moment(qualifier="002", date="2026-12-01"),),
        )
        for n in range(1, 41)
    )
    order = documents.PurchaseOrder(
        number="4500012345",
        date="2026-11-23",
        currency="USD",
        references=(documents.Reference(qualifier="IA", value="0000100183"),),
        parties=(
            documents.Party(role="BY", name="Acme Works", id_qualifier="92", id="1500"),
            documents.Party(
                role="ST", name="Acme Works", address=("1 Main Street",), city="Dearborn",
                state="MI", postal_code="48121", country="US",
            ),
        ),
        lines=lines,
    )  # fmt: skip
    draft = documents.write_850(order)
    envelope = Envelope(
        sender=Endpoint(id="ACME"), receiver=Endpoint(id="BOLT"), control=1, at="2026-11-23T12:00"
    )
    one = len(write(compose(envelope, [draft]))) - 180
    return write(compose(envelope, [draft] * max(1, round(megabytes * 1e6 / one))))


def best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def split(data: bytes) -> int:
    """Parse and split every segment into its elements."""
    return sum(len(row) for t in parse(data).transactions for row in t.rows())


def keep(data: bytes) -> int:
    """Parse, and keep every segment with its place."""
    return sum(len(s.elements) for t in parse(data).transactions for s in t.segments)


def stream(data: bytes) -> int:
    """Go through the transaction sets one by one, making every segment."""
    return sum(len(t.segments) for t in iter_transactions(io.BytesIO(data)))


def peer(data: bytes) -> int | None:
    """Read all segments with pyx12; None when it is not installed."""
    try:
        from pyx12.x12file import X12Reader
    except ImportError:
        return None
    return sum(1 for _ in X12Reader(io.StringIO(data.decode())))


def main() -> None:
    """Print the table, what was measured on, and whether the target was
    reached."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=float, default=20.0)
    large = sample(options.parse_args().megabytes)
    small = sample(2.0)
    document = parse(large)
    print(f"{len(large) / 1e6:.1f} MB, {sum(1 for _ in document.transactions)} purchase orders")
    rates: dict[str, float] = {}
    for name, data, work in (
        ("parse", large, lambda: parse(large)),
        ("parse + split", large, lambda: split(large)),
        ("parse + keep", large, lambda: keep(large)),
        ("stream + keep", large, lambda: stream(large)),
        ("read 850", small, lambda: [documents.read_850(t) for t in parse(small).transactions]),
        ("check", small, lambda: check(small)),
        ("write", large, lambda: write(document)),
    ):
        rates[name] = len(data) / 1e6 / best(work)
        print(f"{name:<16} {rates[name]:8.1f} MB/s")
    if peer(small) is None:
        print(f"{'pyx12 read':<16} not installed (pip install pyx12)")
    else:
        rate = len(small) / 1e6 / best(lambda: peer(small))
        print(
            f"{'pyx12 read':<16} {rate:8.1f} MB/s  (ours is {rates['parse + split'] / rate:.1f}×)"
        )
    for name, target in TARGETS.items():
        verdict = "reached" if rates[name] >= target else "MISSED"
        print(f"target {target:.0f} MB/s for {name}: {verdict}")
    print(
        f"conditions: Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, best of three by processor time"
    )


if __name__ == "__main__":
    main()
