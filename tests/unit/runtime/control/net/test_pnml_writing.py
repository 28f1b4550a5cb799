"""What is written as PNML is read again as the same net."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentsquad.runtime.control.net.export import written
from agentsquad.runtime.control.net.petri import Net, Place, Transition
from agentsquad.runtime.control.net.pnml import read_nets

IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@st.composite
def nets(draw: st.DrawFn) -> Net:
    names = draw(st.lists(IDS, min_size=2, max_size=8, unique=True))
    cut = draw(st.integers(1, len(names) - 1))
    arcs = st.dictionaries(st.integers(0, cut - 1), st.integers(1, 12), max_size=4)
    return Net(
        draw(IDS),
        draw(IDS),
        tuple(Place(name, name, draw(st.integers(0, 10**9))) for name in names[:cut]),
        tuple(Transition(name, name, draw(arcs), draw(arcs)) for name in names[cut:]),
    )


def shape(net: Net) -> object:
    """Return a net without ids, which need not be writable."""
    return (
        [(" ".join(place.name.split()), place.tokens) for place in net.places],
        [(" ".join(one.name.split()), one.takes, one.puts) for one in net.transitions],
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(nets(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(several: list[Net]) -> None:
    document = written(several)
    again = read_nets(document, "again.pnml")
    for net, other in zip(several, again, strict=True):
        names = [one.name for one in (*net.places, *net.transitions)]
        if all(" ".join(name.split()) for name in names):
            assert shape(other) == shape(net)
        assert [p.tokens for p in other.places] == [p.tokens for p in net.places]
    assert written(again) == written(read_nets(written(again), "third.pnml"))


def test_ids_that_xml_knows_are_kept_and_others_named() -> None:
    net = Net("n", "n", (Place("is done", "is done", 1), Place("ok", "ok")), ())
    (again,) = read_nets(written([net]), "again.pnml")
    assert [(place.id, place.name) for place in again.places] == [("p1", "is done"), ("ok", "ok")]
