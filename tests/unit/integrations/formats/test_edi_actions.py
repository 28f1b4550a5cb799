from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsquad.integrations.formats.actions import (
    AckInput,
    CheckInput,
    ConvertInput,
    ShowInput,
    ack,
    check,
    convert,
    show,
)
from agentsquad.integrations.formats.adapters.local import LocalFileReader
from agentsquad.integrations.formats.contract import (
    FileReader,
    FileTooLargeError,
    FileUnreadableError,
    X12ReadError,
)
from agentsquad.integrations.formats.plugin import plugin
from agentsquad.kernel.registry import Registry

DIRTY = Path(__file__).parent / "x12_fixtures" / "dirty-order.edi"


class Here:
    """The part of a context these actions use."""

    def port(self, role: Any) -> Any:
        assert role is FileReader
        return LocalFileReader()

    def now_ms(self) -> int:
        return 1_795_435_200_000  # 2026-11-23T12:00Z


def test_the_plugin_offers_its_commands() -> None:
    registry = Registry.of(plugin)

    assert [a.spec.cli for a in registry.actions.values()] == [
        ("edi", "check"),
        ("edi", "ack"),
        ("edi", "show"),
        ("edi", "convert"),
        ("import",),
    ]
    assert isinstance(plugin.ports[FileReader](None), LocalFileReader)


def test_check_prints_what_others_rely_on() -> None:
    result = msgspec.to_builtins(check(Here(), CheckInput(files=(str(DIRTY),))))

    assert result["valid"] is False
    for error in result["errors"]:
        assert {"segment", "position", "element", "code", "message"} <= set(error)
    assert {
        "segment": "N4", "position": 6, "element": 2, "code": "5",
    }.items() <= next(e for e in result["errors"] if e["segment"] == "N4").items()  # fmt: skip
    assert result["interchanges"][0]["groups"][0]["transactions"] == [
        {"set": "850", "control": "0001", "segments": 10}
    ]


def test_several_files_are_told_apart(tmp_path: Path) -> None:
    clean = tmp_path / "ack.edi"
    clean.write_text(ack(Here(), AckInput(files=(str(DIRTY),))).text)
    result = check(Here(), CheckInput(files=(str(clean), str(DIRTY))))

    assert {error["file"] for error in result.errors} == {str(DIRTY)}


def test_ack_uses_the_clock_unless_told() -> None:
    assert "*20261123*1200*" in ack(Here(), AckInput(files=(str(DIRTY),))).text
    assert (
        "*20270101*0000*" in ack(Here(), AckInput(files=(str(DIRTY),), at="2027-01-01T00:00")).text
    )


def test_show_is_readable() -> None:
    text = show(Here(), ShowInput(files=(str(DIRTY),))).text

    assert "Purchase order (850)" in text
    assert "Harbor Music, 12 Quay Street, Portland Maine 04101 US" in text
    assert "VN STRING-009" in text


def test_convert_goes_there_and_back(tmp_path: Path) -> None:
    source, form = tmp_path / "a.edi", tmp_path / "a.json"
    source.write_text(ack(Here(), AckInput(files=(str(DIRTY),))).text)
    form.write_text(convert(Here(), ConvertInput(file=str(source))).text)

    assert convert(Here(), ConvertInput(file=str(form))).text == source.read_text()


@pytest.mark.parametrize("data", [b"", b"UNB+UNOA", b"{nonsense", b'{"a": "\xff"}'])
def test_convert_refuses_what_is_neither(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(X12ReadError):
        convert(Here(), ConvertInput(file=str(tmp_path / "x")))


@pytest.mark.parametrize("text", ["", "rubbish\n", "{}"])
def test_show_refuses_what_is_no_x12(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rubbish.edi"
    path.write_text(text)

    with pytest.raises(X12ReadError, match=r"rubbish\.edi: no X12 interchange"):
        show(Here(), ShowInput(files=(str(path),)))


def test_missing_and_large_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"ISA" * 10)
    with pytest.raises(FileUnreadableError, match="No such file"):
        LocalFileReader().read(str(tmp_path / "none"), 10)
    with pytest.raises(FileTooLargeError, match="larger than 10"):
        LocalFileReader().read(str(tmp_path / "large"), 10)
