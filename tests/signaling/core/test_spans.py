"""Views of strings in strings, and edits of what they were decoded from."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.spans import (
    MAX_DEPTH,
    Edit,
    Kind,
    Node,
    Parts,
    TooManyParts,
    View,
    apply,
    json_regions,
    parse,
    plain,
    unescaped,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def joined(text: str) -> str:
    """With each pair of surrogates as the character that it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def value(view: View, node: Node) -> object:
    """The value again, by the spans alone."""
    match node.kind:
        case Kind.OBJECT:
            return {joined(key): value(view, child) for key, child in node.members}
        case Kind.ARRAY:
            return [value(view, child) for _, child in node.members]
        case Kind.STRING:
            return joined(view.literal(node.start + 1, node.end - 1).text)
        case Kind.SCALAR:
            return json.loads(view.text[node.start : node.end])


def plainly(document: object) -> object:
    if isinstance(document, dict):
        return {plain(key): plainly(child) for key, child in document.items()}
    return [plainly(child) for child in document] if isinstance(document, list) else document


@given(JSON.filter(lambda document: isinstance(document, (dict, list))), st.booleans(), st.sampled_from([None, 1]))
def test_the_parser_s_spans_hold_every_value(document: object, ascii_only: bool, indent: int | None) -> None:
    text = "prefix 12 " + json.dumps(document, ensure_ascii=ascii_only, indent=indent) + " suffix"
    [(start, end)] = json_regions(text)
    view = View(text)
    node = parse(view, start, end, Parts(1000))
    assert (start, end) == (node.start, node.end) == (10, len(text) - 7)
    assert value(view, node) == plainly(document)


@given(TEXT, st.text('0123456789.: \\"/\n', max_size=20), TEXT, st.integers(0, 4))
def test_an_edit_of_a_decoded_string_changes_nothing_else(before: str, old: str, after: str, depth: int) -> None:
    before, after = before + "<", ">" + after
    text = before + old + after
    for _ in range(depth):
        text = json.dumps(text)
    view = View(text)
    for _ in range(depth):
        view = view.literal(1, len(view.text) - 1)
    assert joined(view.text) == before + old + after
    start = view.text.rindex("<" + old + ">") + 1
    edited = apply(text, [view.edit(start, start + len(old), "10.0.0.1 5")])
    for _ in range(depth):
        edited = json.loads(edited)
    assert edited == before + "10.0.0.1 5" + after


@given(TEXT)
def test_a_literal_resolves_each_escape_to_one_character(text: str) -> None:
    escaped = "".join(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char for char in text)
    view = View(f'"{escaped}"').literal(1, len(escaped) + 1)
    assert view.text == text == unescaped(escaped)
    assert view.place(len(text)) == len(escaped) + 1


def test_unescaping_knows_every_short_form() -> None:
    assert unescaped(r"\b\f\n\r\t\"\\\/\u0041") == '\b\f\n\r\t"\\/A'


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("", []),
        ("no json", []),
        ('"a string"', ['"a string"']),
        ('  "a" ', ['"a"']),
        ('say "a"', []),
        ("[not {} json", ["{}"]),
        ('{"a": [1]} {"b": 2}', ['{"a": [1]}', '{"b": 2}']),
        ("{" * 9 + "[]", []),
        ("[" * 100_000, []),
        ('{"a": ' + "1" * 5000 + "}", ['{"a": ' + "1" * 5000 + "}"]),
    ],
)
def test_json_is_found_where_it_stands(text: str, regions: list[str]) -> None:
    assert [text[start:end] for start, end in json_regions(text)] == regions


def test_more_than_signaling_ever_holds_is_refused() -> None:
    wide, deep = "[1,1]", "[" * MAX_DEPTH + "]" * MAX_DEPTH
    with pytest.raises(TooManyParts):
        parse(View(wide), 0, len(wide), Parts(4))
    with pytest.raises(TooManyParts):
        parse(View(deep), 0, len(deep), Parts(1000))


def test_the_last_of_doubled_keys_counts() -> None:
    text = '{"usernameFragment": 1, "username-fragment": 2}'
    node = parse(View(text), 0, len(text), Parts(100))
    found = node.get("usernamefragment")
    assert found is not None
    assert text[found.start : found.end] == "2"
    assert node.get("other") is None


def test_edits_inside_others_are_swallowed_and_crossing_ones_refused() -> None:
    assert apply("abcdef", [Edit(1, 5, "-"), Edit(2, 3, "x"), Edit(1, 5, "-")]) == "a-f"
    with pytest.raises(ValueError, match="cross"):
        apply("abcdef", [Edit(0, 3, ""), Edit(2, 5, "")])
