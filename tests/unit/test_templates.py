"""Templates: what they can do, what they refuse, and that a record's values stay out of every message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.template import TemplateError, compile_template


def render(text: str, **fields: Any) -> str | Problem:
    return compile_template(text).render(fields)


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("plain", {}, "plain"),
        ("a {{ x }} b {{ x }}\n", {"x": 1}, "a 1 b 1"),
        ("{{ x }}", {"x": None}, ""),
        ("{{ x }}", {"x": True}, "true"),
        ("{{ x }}", {"x": {"ä": [1]}}, '{"ä": [1]}'),
        ("{{ x|upper }}", {"x": "a"}, "A"),
        ("{{ x.y.z }}", {"x": {"y": {"z": 1}}}, "1"),
        ("{{ x.items }}", {"x": {"items": 3}}, "3"),
        ("{{ x[1] }}", {"x": [1, 2]}, "2"),
        ('{{ record["a b"] }}', {"a b": 1}, "1"),
        ("{{ x|default('none') }}", {}, "none"),
        ("{{ x.y|default('none') }}", {"x": {}}, "none"),
        ("{% if x is defined %}yes{% else %}no{% endif %}", {}, "no"),
        ("{% for i in x %}{{ loop.index }}:{{ i.n }} {% endfor %}", {"x": [{"n": 1}, {"n": 2}]}, "1:1 2:2 "),
        ("{{ x|join(', ') }}", {"x": [1, None, True]}, "1, , true"),
        ("{{ x|unique }}", {"x": [2, 1, 2]}, "[2, 1]"),
        ("{{ x|reverse|tojson }}", {"x": [1, 2]}, "[2, 1]"),
        ("{{ '<b>' }}{{ x }}", {"x": "&"}, "<b>&"),
    ],
)
def test_a_template_puts_the_fields_in(text: str, fields: Mapping[str, Any], expected: str) -> None:
    assert compile_template(text).render(fields) == expected


@pytest.mark.parametrize(
    "text", ["{{ text }}", "{{ text|upper }}", "{{ [text] }}", "{{ text|tojson }}", "{% if text > 3 %}{% endif %}"]
)
def test_a_missing_field_is_named(text: str) -> None:
    found = render(text, other="secret")
    assert isinstance(found, Problem)
    assert found.code == Code.MISSING_FIELD
    assert "'text'" in found.message
    assert "secret" not in found.message


@pytest.mark.parametrize(
    "text", ["{{ x < 3 }}", "{{ x|sum }}", "{{ x|truncate(1) }}", "{{ x[y] }}", "{{ x.secret2[y] }}", "{{ {}|sort }}"]
)
def test_no_message_quotes_a_value(text: str) -> None:
    try:
        found = render(text, x="secret", y="secret")
    except TemplateError:
        return
    assert isinstance(found, Problem)
    assert "secret'" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        "{{ x",
        "{% if %}",
        "{{ x() }}",
        "{{ x.upper() }}",
        "{{ x + 1 }}",
        "{{ x * 9 }}",
        "{{ x ~ x }}",
        "{{ '%9999999d' % 1 }}",
        "{{ x|format(1) }}",
        "{{ x|attr('a') }}",
        "{{ x|map('upper') }}",
        "{{ _x }}",
        "{{ x.__class__ }}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% macro m() %}{% endmacro %}",
        "{% for x in y recursive %}{% endfor %}",
        "{{ range(9) }}",
        "{{ " + "(" * 500 + "x" + ")" * 500 + " }}",
        "{{ " + "9" * 5000 + " }}",
        "x" * (64 * 1024 + 1),
    ],
)
def test_what_is_not_needed_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(text)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(TemplateError) as error:
        compile_template("one\ntwo\n{{ x() }}")
    assert error.value.line == 3


@pytest.mark.parametrize("text", ['{{ x["__class__"] }}', '{{ x["keys"] }}', '{{ record["keys"] }}', "{{ x.keys }}"])
def test_attributes_of_python_objects_are_out_of_reach(text: str) -> None:
    found = render(text, x={"a": 1})
    assert isinstance(found, Problem)
    assert found.code == Code.MISSING_FIELD


def test_loops_turn_a_bounded_number_of_times_altogether() -> None:
    found = render("{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}", x=list(range(2000)))
    assert isinstance(found, Problem)
    assert found.code == Code.TOO_COSTLY


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in x %}{{ x|sort|length }}{% endfor %}",
        "{% for i in x %}{{ x|unique|length }}{% endfor %}",
        "{% for i in x %}{% if x == y %}{% endif %}{% endfor %}",
        "{% for i in x %}{% if -1 in x %}{% endif %}{% endfor %}",
        "{% for i in x %}{{ t|replace(t, '')|length }}{% endfor %}",
        "{% for i in x %}{{ t|trim(t)|length }}{% endfor %}",
        "{{ t" + "|tojson" * 34 + "|length }}",
        "{{ [" + "t," * 3000 + "]|tojson|length }}",
        "{{ [" + "t," * 3000 + "]|string|length }}",
        "{{ x|join(t) }}",
    ],
)
def test_the_work_of_filters_and_comparisons_is_counted_and_not_only_turns(text: str) -> None:
    fields = {"x": list(range(10_000)), "y": list(range(10_000)), "t": '"' * 100_000}
    found = render(text, **fields)
    assert isinstance(found, Problem)
    assert found.code in (Code.TOO_COSTLY, Code.WRONG_TYPE)


@pytest.mark.parametrize("text", ["{{ 1.5|round(400000000, 'ceil') }}", "{{ x|round(400000000, 'ceil') }}"])
def test_rounding_has_a_largest_precision(text: str) -> None:
    found = render(text, x=1.5)
    assert isinstance(found, Problem)
    assert found.code == Code.WRONG_TYPE


def test_whole_numbers_made_to_share_a_hash_are_told_apart_quickly() -> None:
    found = render("{{ x|unique|length }}", x=[number * (2**61 - 1) for number in range(20_000)])
    assert found == "20000"


@pytest.mark.parametrize(
    "text",
    [
        "{{ x }}" * 21,
        "{% for i in y %}{{ x }}{% endfor %}",
        "{{ x|replace('a', y|join('-')) }}",
        "{% for i in y %}{{ x }}{{ i }}{% endfor %}",
    ],
)
def test_the_text_has_a_bounded_size(text: str) -> None:
    found = render(text, x="a" * (1 << 20), y=list(range(100)))
    assert isinstance(found, Problem)
    assert found.code == Code.LINE_TOO_LONG


def test_a_template_tells_which_fields_it_mentions() -> None:
    found = compile_template('{{ a.b }}{{ record["c d"] }}{% for x in e %}{{ x }}{% endfor %}')
    assert found.fields == {"a", "c d", "e"}


def test_the_plain_way_and_jinja_agree() -> None:
    fields = {"a": None, "b": [True], "c": 1.5, "d": "ü\n"}
    text = "{{ a }}-{{ b }}-{{ c }}-{{ d }}.\n\n"
    plain = render(text, **fields)
    through_jinja = render(text + "{{ a|default('') }}", **fields)
    assert through_jinja == f"{plain}\n"
