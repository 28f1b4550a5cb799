"""PNML files of many tools are read as what they mean, or refused by name."""

from __future__ import annotations

import pytest

from agentsquad.runtime.control.net.contract import NetFileError
from agentsquad.runtime.control.net.petri import Net
from agentsquad.runtime.control.net.pnml import read_nets

SPACE = "http://www.pnml.org/version-2009/grammar/pnml"
PTNET = "http://www.pnml.org/version-2009/grammar/ptnet"


def document(body: str, kind: str = PTNET, space: str | None = SPACE, more: str = "") -> bytes:
    named = f' xmlns="{space}"' if space else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<pnml{named}>\n'
        f'<net id="n" type="{kind}">{body}</net>{more}</pnml>'
    ).encode()


SMALL = """<page id="g">
<place id="p"><name><text>first
 place</text><graphics><offset x="1" y="2"/></graphics></name>
 <initialMarking><text> 3 </text></initialMarking></place>
<place id="q"/>
<transition id="t"><name><text>go</text></name><graphics><position x="1" y="1"/></graphics>
</transition>
<arc id="a" source="p" target="t"><inscription><text>2</text></inscription></arc>
<arc id="b" source="t" target="q"><graphics><position x="0" y="0"/></graphics></arc>
</page>"""


def one(data: bytes) -> Net:
    (net,) = read_nets(data, "net.pnml")
    return net


@pytest.mark.parametrize("space", [SPACE, None, "http://example.org/other"])
def test_a_net_is_read_with_or_without_its_namespace(space: str | None) -> None:
    net = one(document(SMALL, space=space))
    assert net.unsupported is None
    assert [(p.id, p.name, p.tokens) for p in net.places] == [
        ("p", "first place", 3),
        ("q", "q", 0),
    ]
    assert [(t.id, t.name, t.takes, t.puts) for t in net.transitions] == [
        ("t", "go", {0: 2}, {1: 1})
    ]


def test_nodes_may_stand_outside_of_pages_and_pages_in_pages() -> None:
    body = (
        '<place id="p"/><page id="g1"><page id="g2"><transition id="t"/></page>'
        '<arc id="a" source="p" target="t"/></page>'
    )
    net = one(document(body))
    assert len(net.places) == 1 and net.transitions[0].takes == {0: 1}


def test_references_lead_to_what_they_refer_to() -> None:
    body = (
        '<page id="g1"><place id="p"><initialMarking><text>1</text></initialMarking></place>'
        '<transition id="t"/></page>'
        '<page id="g2"><referencePlace id="r" ref="s"/><referencePlace id="s" ref="p"/>'
        '<referenceTransition id="u" ref="t"/><arc id="a" source="r" target="u"/></page>'
    )
    net = one(document(body))
    assert len(net.places) == 1 and net.transitions[0].takes == {0: 1}


def test_arcs_between_the_same_nodes_add_up_and_self_loops_are_kept() -> None:
    body = (
        '<place id="p"/><transition id="t"/><arc id="a" source="p" target="t"/>'
        '<arc id="b" source="p" target="t"/><arc id="c" source="t" target="p"/>'
    )
    net = one(document(body))
    assert net.transitions[0].takes == {0: 2} and net.transitions[0].puts == {0: 1}


def test_older_dialects_are_read() -> None:
    body = (
        '<place id="p"><initialMarking><value>Default,2</value></initialMarking>'
        "<capacity><value>0</value></capacity></place>"
        '<transition id="t"><timed><value>false</value></timed><priority><value>1</value>'
        '</priority></transition><arc id="a" source="p" target="t"><inscription>'
        '<value>Default,1</value></inscription><type value="normal"/></arc>'
    )
    net = one(document(body, kind="P/T net", space=None))
    assert net.unsupported is None
    assert net.places[0].tokens == 2 and net.transitions[0].takes == {0: 1}


def test_final_markings_of_mining_tools_are_kept() -> None:
    body = (
        '<page id="g"><place id="p"/><place id="q"/></page><finalmarkings><marking>'
        '<place idref="q"><text>1</text></place><place idref="p"><text>0</text></place>'
        "</marking></finalmarkings>"
    )
    assert one(document(body)).finals == ({1: 1},)


def test_several_nets_of_a_file_are_all_read() -> None:
    more = f'<net id="m" type="{PTNET}"><place id="p"/></net>'
    assert [net.id for net in read_nets(document(SMALL, more=more), "f")] == ["n", "m"]


def test_what_belongs_to_a_tool_is_passed_over() -> None:
    body = (
        '<toolspecific tool="x" version="1"><place id="ghost"/></toolspecific>'
        '<place id="p"><toolspecific tool="nupn" version="1.1"><size places="1"/></toolspecific>'
        "</place>"
    )
    assert [place.id for place in one(document(body)).places] == ["p"]


ARC = '<place id="p"/><transition id="t"/><arc id="a" source="p" target="t">{}</arc>'
COLOURED = '<place id="p"><hlinitialMarking><text>1</text></hlinitialMarking></place>'


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (ARC.format('<type value="inhibitor"/>'), PTNET, "inhibitor"),
        (ARC.format("<type><text>reset</text></type>"), PTNET, "reset"),
        (ARC.format("<arctype><text>inhibitor</text></arctype>"), PTNET, "inhibitor"),
        (ARC.format('<type value="read"/>'), PTNET, "read"),
        (
            ARC.format('<toolspecific tool="x" version="1"><inhibitor/></toolspecific>'),
            PTNET,
            "inhibitor",
        ),
        ('<place id="p"/><inhibitorArc id="a" source="p" target="p"/>', PTNET, "inhibitorArc"),
        (COLOURED, PTNET, "coloured"),
        ("", "http://www.pnml.org/version-2009/grammar/symmetricnet", "high-level"),
        ("", "http://www.pnml.org/version-2009/grammar/highlevelnet", "high-level"),
        ("", "http://www.pnml.org/version-2009/grammar/pt-hlpng", "high-level"),
        ("", "http://www.laas.fr/tina/tpn", "time"),
        ('<place id="p"><capacity><value>2</value></capacity></place>', PTNET, "capacity"),
        (
            '<place id="p"><initialMarking><value>Red,1,Blue,2</value></initialMarking></place>',
            PTNET,
            "several classes",
        ),
        (
            '<transition id="t"><priority><value>1</value></priority></transition>'
            '<transition id="u"><priority><value>2</value></priority></transition>',
            PTNET,
            "priorities",
        ),
        (
            '<transition id="t"><timed><value>true</value></timed></transition>'
            '<transition id="u"><timed><value>false</value></timed></transition>',
            PTNET,
            "immediate",
        ),
    ],
)
def test_other_kinds_of_nets_are_refused_by_name(body: str, kind: str, word: str) -> None:
    net = one(document(body, kind=kind))
    assert net.unsupported is not None and word in net.unsupported


@pytest.mark.parametrize(
    ("data", "line", "word"),
    [
        (b"<pnml><net id='n'><place></net></pnml>", 1, "not well-formed"),
        (b"no xml", 1, "not well-formed"),
        (b"<nets/>", 1, "not <pnml>"),
        (b"<pnml/>", 1, "no <net>"),
        (document("\n<place/>"), 4, "no id"),
        (document('\n<place id="p"/>\n<transition id="p"/>'), 5, "used twice"),
        (document('<place id="p"/>\n<arc id="a" source="p" target="x"/>'), 4, "'x'"),
        (document('<place id="p"/><place id="q"/><arc source="p" target="q"/>'), 3, "two places"),
        (
            document('<place id="p"><initialMarking><text>-1</text></initialMarking></place>'),
            3,
            "whole number",
        ),
        (
            document('<place id="p"><initialMarking><text>1.5</text></initialMarking></place>'),
            3,
            "whole number",
        ),
        (document(ARC.format("<inscription><text>0</text></inscription>")), 3, "less than 1"),
        (document(ARC.format("<inscription><text>x</text></inscription>")), 3, "whole number"),
        (
            document(
                '<referencePlace id="r" ref="s"/><referencePlace id="s" ref="r"/>'
                '<transition id="t"/><arc source="r" target="t"/>'
            ),
            3,
            "go round",
        ),
        (
            document(
                '<transition id="t"/><referencePlace id="r" ref="t"/><arc source="r" target="t"/>'
            ),
            3,
            "not a place",
        ),
        (
            b'<!DOCTYPE pnml [<!ENTITY a "b">]><pnml><net id="n"/></pnml>',
            1,
            "entities",
        ),
        (b'<?xml version="1.0" encoding="nonsense"?><pnml/>', 1, "XML"),
    ],
)
def test_a_broken_file_is_refused_with_line_and_reason(data: bytes, line: int, word: str) -> None:
    with pytest.raises(NetFileError, match=word) as caught:
        read_nets(data, "net.pnml")
    assert caught.value.details["line"] == line
    assert caught.value.message.startswith(f"net.pnml:{line}")


def test_other_encodings_are_read() -> None:
    text = document('<place id="p"><name><text>Grün</text></name></place>').decode()
    data = text.replace("UTF-8", "ISO-8859-1").encode("latin-1")
    assert one(data).places[0].name == "Grün"
    assert one(text.replace("UTF-8", "UTF-16").encode("utf-16")).places[0].name == "Grün"
