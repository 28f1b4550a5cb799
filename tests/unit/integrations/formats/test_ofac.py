"""Reading the sanctions list: strict about rows, tolerant about what varies."""

from __future__ import annotations

import pytest

from agentsquad.integrations.formats.ofac import (
    Address,
    Alias,
    Entry,
    OfacInvalidError,
    part_of,
    read_list,
)

SDN = (
    b'19709,"AIRCRAFT, AVIONICS, PARTS & SUPPORT LTD.",-0- ,"SDGT] [IFSR",-0- ,-0- ,-0- ,-0- ,'
    b"-0- ,-0- ,-0- ,\"UK Company Number 03632365; a.k.a. 'AAPS'; f.k.a. 'OLD PARTS'; alt.\"\r\n"
    b'40716,"IRIS MAKRAN","vessel","IRAN",-0- ,"A8LU7","Naval Auxiliary Vessel",-0- ,-0- ,"Iran",'
    b"-0- ,-0- \r\n"
    b'50000,"NASRALLAH, Hasan","individual","SDGT","Secretary General",-0- ,-0- ,-0- ,-0- ,-0- ,'
    b"-0- ,-0- \r\n\x1a"
)
ADD = (
    b'19709,29915,"50 St. Leonards Road","Bexhill on Sea, East Sussex","United Kingdom",-0- \r\n'
    b'19709,29916,-0- ,"Miami, FL 33130","United States","(branch)"\r\n'
    b"40716,70615,-0- ,-0- ,-0- ,-0- \r\n"
)
ALT = b'50000,22740,"aka","NASRALLAH, Hasan Abd-al-Karim",-0- \r\n\x1a\r\n'


def test_the_three_files_become_one_list() -> None:
    found = read_list({"sdn.csv": SDN, "add.csv": ADD, "alt.csv": ALT})
    company, vessel, person = found.entries
    assert company == Entry(
        id=19709,
        name="AIRCRAFT, AVIONICS, PARTS & SUPPORT LTD.",
        kind="entity",
        programs=("SDGT", "IFSR"),
        remarks="UK Company Number 03632365; a.k.a. 'AAPS'; f.k.a. 'OLD PARTS'; alt.",
        addresses=(
            Address(
                street="50 St. Leonards Road",
                city="Bexhill on Sea, East Sussex",
                country="United Kingdom",
            ),
            Address(city="Miami, FL 33130", country="United States", remarks="(branch)"),
        ),
        aliases=(
            Alias(name="AAPS", kind="aka", weak=True),
            Alias(name="OLD PARTS", kind="fka", weak=True),
        ),
    )
    assert (vessel.kind, vessel.flag, vessel.addresses) == ("vessel", "Iran", ())
    assert (person.kind, person.title) == ("individual", "Secretary General")
    assert person.aliases == (Alias(name="NASRALLAH, Hasan Abd-al-Karim"),)
    assert found.orphans == 0


def test_names_without_an_entity_row_are_kept_because_they_are_listed_too() -> None:
    both = ALT.rstrip(b"\x1a\r\n") + b'\n50000,22741,"fka","NASRALLA, Hassan",-0- \n'
    found = read_list({"alt-full.csv": both})
    (entry,) = found.entries
    assert (entry.id, entry.name, entry.orphan) == (50000, "NASRALLAH, Hasan Abd-al-Karim", True)
    assert entry.aliases == (Alias(name="NASRALLA, Hassan", kind="fka"),)
    assert found.orphans == 1


def test_the_same_row_in_two_files_counts_once() -> None:
    found = read_list({"alt.csv": ALT, "alt-full.csv": ALT, "sdn.csv": SDN, "sdn2.csv": SDN})
    assert len(found.entries) == 3
    assert len(found.entries[2].aliases) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_encodings_and_line_ends_may_vary(encoding: str, end: str) -> None:
    text = f'7,8,"aka","CAFÉ MUÑOZ ""EL NIÑO""",-0- {end}7,9,"aka","A, B",-0- {end}'
    found = read_list({"alt.csv": text.encode(encoding)})
    assert found.entries[0].name == 'CAFÉ MUÑOZ "EL NIÑO"'
    assert found.entries[0].aliases[0].name == "A, B"


@pytest.mark.parametrize(
    ("name", "data", "line", "said"),
    [
        ("sdn.csv", b'1,"A"\n', 1, "expected 12 fields, found 2"),
        ("alt.csv", b'1,2,"aka","A",-0- \n\n1,3,"aka",-0- ,-0- \n', 3, "expected a name"),
        ("alt.csv", b'1,2,"aka","A",-0- \nx,3,"aka","B",-0- \n', 2, "entity number, found 'x'"),
        ("alt.csv", b'1,2,"a.k.a.","A",-0- \n', 1, "expected aka, fka or nka"),
        ("alt.csv", b'1,2,"aka","A",-0- \n1,3,"aka","B\n', 2, "not CSV"),
        ("alt.csv", b'1,2,"aka","A" B,-0- \n', 1, "not CSV"),
        ("alt.csv", b'1,2,"aka","A",-0- \n\x1a1,3,"aka","B",-0- \n', 2, "entity number"),
        ("alt.csv", b'1,2,"aka","A\x1aB",-0- \n', 1, "control characters"),
        ("alt.csv", b'1,2,"aka","A",-0- \n1,2,"aka","B",-0- \n', 2, "name 2 is listed twice"),
        ("add.csv", b'1,2,"street"\n', 1, "expected 6 fields, found 3"),
        ("sdn.csv", SDN.replace(b'"vessel"', b'"boat"'), 2, "found 'boat'"),
        ("sdn.csv", SDN.rstrip(b"\x1a") + SDN.replace(b"Hasan", b"X"), 6, "listed twice"),
        ("names.csv", ALT, 1, "expected a name like sdn.csv"),
        ("sdn.csv", b"", 1, "no names"),
        ("sdn.csv", b"<html>not found</html>", 1, "expected 12 fields"),
    ],
)
def test_a_bad_row_stops_the_list_and_is_named(
    name: str, data: bytes, line: int, said: str
) -> None:
    with pytest.raises(OfacInvalidError) as caught:
        read_list({name: data})
    first = caught.value.problems[0]
    assert (first.file, first.line) == (name, line)
    assert said in first.message
    assert caught.value.hint
    assert caught.value.details["problems"][0]["line"] == line


def test_all_bad_rows_are_named_at_once_but_not_without_end() -> None:
    with pytest.raises(OfacInvalidError) as caught:
        read_list({"alt.csv": b'x,1,"aka","A",-0- \n' * 200})
    assert len(caught.value.problems) == 50
    assert "(and 49 more)" in caught.value.message


def test_the_digest_names_exactly_these_files() -> None:
    one = read_list({"sdn.csv": SDN}).digest
    assert read_list({"sdn.csv": SDN}).digest == one
    assert read_list({"sdn.csv": SDN, "alt.csv": ALT}).digest != one


def test_files_are_known_by_their_names() -> None:
    assert part_of("folder/SDN.CSV") == "sdn"
    assert part_of("alt-full.csv") == "alt"
    assert part_of("add.txt") is None
    assert part_of("list.csv") is None
