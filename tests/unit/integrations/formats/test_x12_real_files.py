"""Other people's files, dirty as real traffic; read where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentsquad.integrations.formats import x12
from agentsquad.integrations.formats.contract import X12ReadError

HERE = Path(__file__).resolve()
SHARED = Path(
    os.environ.get("SQUAD_TEST_EDI_DATA", HERE.parents[5] / "shared" / "data" / "edi-public")
)
FILES = sorted(SHARED.glob("*")) if SHARED.is_dir() else []
present = pytest.mark.skipif(not FILES, reason="the public EDI samples are not here")

VERDICTS = {
    "x12.214.edi": {("ISA", 8, "008"), ("ST", 1, "1")},
    "x12.810a.edi": {("ISA", None, "022"), ("ISA", 2, "011"), ("ISA", 4, "013"), ("ISA", 8, "008")},
    "x12.820.issue140.edi": set(),
    "x12.832.edi": {("ISA", 6, "006"), ("ST", 1, "1"), ("SE", 1, "4")},
    "x12.850.edi": {("IEA", 2, "001")},
    "x12.850.issue135.edi": {("ISA", 16, "027"), ("ST", 2, "23")},
    "x12.850a.edi": {("ISA", None, "022"), ("ISA", 8, "008"), ("IEA", 2, "001"), ("N4", 2, "5")},
    "x12.Issue101.edi": {("TFS", None, "1"), ("SE", 1, "4"), ("BEG", None, "3")},
    "x12.Issue88.edi": {("ST", 1, "1")},
}


@present
@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_the_known_faults_of_each_file_are_found(name: str) -> None:
    report = x12.check((SHARED / name).read_bytes())

    found = {(f.segment, f.element, f.code) for f in report.errors}
    assert VERDICTS[name] <= found
    assert report.valid is (not VERDICTS[name])


@present
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_can_be_shown_and_answered(path: Path) -> None:
    data = path.read_bytes()
    document = x12.parse(data)

    assert x12.show(document).strip()
    clean = x12.write(document)
    assert x12.write(x12.parse(clean)) == clean
    if document.interchanges:
        assert x12.check(x12.acknowledge(data, control=1, at="2026-11-23T12:00")).valid
    else:
        with pytest.raises(X12ReadError):
            x12.acknowledge(data, control=1, at="2026-11-23T12:00")
