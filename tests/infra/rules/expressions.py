"""Filters of Cloud Monitoring and Cloud Logging, and IAM conditions: the part of each language that is used here.

        monitoring  resource.labels.subscription_id = monitoring.regex.full_match("a-.*") AND metric.type = "..."
        logging     severity >= ERROR AND NOT log_id("run.googleapis.com/requests")
        IAM         resource.name.startsWith("projects/_/buckets/b/objects/") || resource.name == "..."

(cloud.google.com/monitoring/api/v3/filters, cloud.google.com/logging/docs/view/logging-query-language,
cloud.google.com/iam/docs/conditions-overview.) What is not understood is an error, never false: a filter that a test
cannot judge must not pass it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(&&|\|\||!=|!~|=~|>=|<=|==|[=><:(),!])|([\w.*/@%+-]+))')
SEVERITIES = ["DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"]
Subject = Mapping[str, Any]
Test = Callable[[Subject], bool]


def matches(expression: str, subject: Subject) -> bool:
    """Tell whether an expression is true of a time series, a log entry or a request.

    Raises:
        ValueError: The expression is not understood.
    """
    return _parsed(expression)(subject)


@cache
def _parsed(expression: str) -> Test:
    parser = _Parser(_tokens(expression))
    found = parser.either()
    if parser.left():
        raise ValueError(f"not understood: {' '.join(parser.tokens[parser.at :])!r} in {expression!r}")
    return found


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while text[at:].strip():
        token = TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"not understood: {text[at:]!r}")
        found.append(next(filter(None, token.groups())))
        at = token.end()
    return found


@dataclass
class _Parser:
    """Recursive descent over the tokens."""

    tokens: list[str]
    at: int = 0

    def left(self) -> bool:
        return self.at < len(self.tokens)

    def peek(self) -> str:
        return self.tokens[self.at] if self.left() else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if not token or (wanted and token not in wanted):
            raise ValueError(
                f"{' or '.join(wanted) or 'something'} is missing after {' '.join(self.tokens[: self.at])!r}"
            )
        self.at += 1
        return token

    def either(self) -> Test:
        tests = [self.both()]
        while self.peek() in ("OR", "||"):
            self.take()
            tests.append(self.both())
        return lambda subject: any(test(subject) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.left() and self.peek() not in ("OR", "||", ")"):
            if self.peek() in ("AND", "&&"):
                self.take()
            tests.append(self.one())
        return lambda subject: all(test(subject) for test in tests)

    def one(self) -> Test:
        if self.peek() in ("NOT", "!"):
            self.take()
            inner = self.one()
            return lambda subject: not inner(subject)
        if self.peek() == "(":
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        return self.comparison()

    def comparison(self) -> Test:
        name = self.take()
        if self.peek() == "(":
            return _called(name, self.arguments())
        operator = self.take("=", "==", "!=", "=~", "!~", ">=", "<=", ">", "<", ":")
        if operator in ORDERS:
            return _ordered(name, operator, _literal(self.take()))
        return _compared(name, operator, self.values())

    def values(self) -> Test:
        """Return a test of one value: a literal, a function of it, or a list in brackets."""
        if self.peek() == "(":
            words = [text for text in self.listed() if text != "OR"]
            return lambda subject: subject["value"] in words
        word = self.take()
        if self.peek() == "(":
            return _function(word, self.arguments())
        literal = _literal(word)
        return lambda subject: str(subject["value"]) == literal

    def listed(self) -> list[str]:
        self.take("(")
        words: list[str] = []
        while self.peek() != ")":
            words.append(_literal(self.take()))
        self.take(")")
        return words

    def arguments(self) -> list[str]:
        self.take("(")
        words: list[str] = []
        while self.peek() != ")":
            words.append(_literal(self.take()))
            if self.peek() == ",":
                self.take()
        self.take(")")
        return words


def _literal(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token


def look_up(subject: Subject, path: str) -> Any:
    """Return the value at a path, or None."""
    node: Any = subject
    for part in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = cast("Mapping[str, Any]", node).get(part)
    return node


def _compared(path: str, operator: str, test: Test) -> Test:
    def compare(subject: Subject) -> bool:
        found = look_up(subject, path)
        equal = found is not None and test({"value": found})
        return not equal if operator == "!=" else equal

    return compare


ORDERS: Mapping[str, Callable[[Any, str], bool]] = {
    "=~": lambda found, wanted: re.search(wanted, str(found)) is not None,
    "!~": lambda found, wanted: re.search(wanted, str(found)) is None,
    ":": lambda found, wanted: wanted in str(found),
    ">=": lambda found, wanted: _rank(found) >= _rank(wanted),
    "<=": lambda found, wanted: _rank(found) <= _rank(wanted),
    ">": lambda found, wanted: _rank(found) > _rank(wanted),
    "<": lambda found, wanted: _rank(found) < _rank(wanted),
}


def _ordered(path: str, operator: str, wanted: str) -> Test:
    def compare(subject: Subject) -> bool:
        found = look_up(subject, path)
        return found is not None and ORDERS[operator](found, wanted)

    return compare


def _rank(value: Any) -> float:
    return SEVERITIES.index(value) if value in SEVERITIES else float(value)


def _called(name: str, words: list[str]) -> Test:
    if name == "log_id":
        return lambda subject: str(subject["logName"]).partition("/logs/")[2].replace("%2F", "/") == words[0]
    path, _, method = name.rpartition(".")
    if method == "startsWith":
        return lambda subject: str(look_up(subject, path)).startswith(words[0])
    if method == "endsWith":
        return lambda subject: str(look_up(subject, path)).endswith(words[0])
    raise ValueError(f"{name}(): not understood")


def _function(name: str, words: list[str]) -> Test:
    found: dict[str, Callable[[str], bool]] = {
        "monitoring.regex.full_match": lambda value: re.fullmatch(words[0], value) is not None,
        "one_of": lambda value: value in words,
        "starts_with": lambda value: value.startswith(words[0]),
        "ends_with": lambda value: value.endswith(words[0]),
        "has_substring": lambda value: words[0] in value,
    }
    if name not in found:
        raise ValueError(f"{name}(): not understood")
    return lambda subject: found[name](str(subject["value"]))
