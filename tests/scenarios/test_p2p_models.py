"""The same answers with local models: descriptions paired by embeddings."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsquad.assembly.settings import Settings
from agentsquad.assembly.squad import Squad
from agentsquad.integrations.connectors.ai.local import plugin as local
from agentsquad.solutions.purchase_to_pay.catalogue import SELLERS


@pytest.mark.slow
@pytest.mark.skipif(
    any(local.find_spec(module) is None for module in local.EMBEDDING),
    reason="the extra 'local' is not installed",
)
async def test_embeddings_pair_the_renamed_items_as_the_rules_do(tmp_path: Path) -> None:
    renamed = [item for seller in SELLERS for item in seller.items if item.renamed]
    given = {
        "lines": {item.sku: item.renamed[1] for item in renamed if item.renamed},
        "others": {i.sku: i.description for s in SELLERS if s.key == "nordlys" for i in s.items},
    }
    squad = Squad(
        Settings(home=tmp_path, store="memory:", policy=None, user="tester", environment={})
    )
    try:
        measured = await squad.invoke("p2p.similarity", given)
    finally:
        await squad.close()
    assert measured.method == "minilm-l6-v2"
    for sku, row in measured.scores.items():
        best, score = max(row.items(), key=lambda pair: pair[1])
        assert best == sku and score > 0.6
        assert all(score - other >= 0.1 for key, other in row.items() if key != sku)
