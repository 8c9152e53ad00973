"""JSON lines of all forms that a reader, a checker or a pointer may stumble over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.samples.hostile.cases import Case

_GOOD = '{"key":"k","request":{"contents":[{"parts":[{"text":"x"}]}]}}\n'


def _request(body: str) -> str:
    return f'{{"key":"k","request":{body}}}\n'


def _parts(parts: str) -> str:
    return _request(f'{{"contents":[{{"parts":[{parts}]}}]}}')


def _many(count: int, each: str) -> str:
    return ",".join([each] * count)


def _names(count: int, value: str = "1", stem: str = "n") -> str:
    return ",".join(f'"{stem}{number}":{value}' for number in range(count))


_LINES: dict[str, Callable[[], str]] = {
    "deep lists": lambda: "[" * 5_000_000 + "]" * 5_000_000 + "\n",
    "deep objects": lambda: '{"a":' * 1_000_000 + "1" + "}" * 1_000_000 + "\n",
    "deep in a request": lambda: _request('{"a":' * 100_000 + "1" + "}" * 100_000),
    "many zeros": lambda: _request("[" + _many(5_000_000, "0") + "]"),
    "many empty lists": lambda: _request("[" + _many(2_000_000, "[]") + "]"),
    "many empty objects": lambda: _request('{"contents":[' + _many(2_000_000, "{}") + "]}"),
    "just fewer values": lambda: _request('{"contents":[' + _many(100_000, '{"a":[]}') + "]}"),
    "many parts": lambda: _parts(_many(1_000_000, '{"text":""}')),
    "many contents": lambda: _request('{"contents":[' + _many(300_000, '{"parts":[{"text":"x"}]}') + "]}"),
    "many unknown fields": lambda: _request("{" + _names(200_000) + "}"),
    "many unknown fields of one shape": lambda: _request("{" + _names(100_000, stem="generationConfi") + "}"),
    "many unknown fields in snake case": lambda: _request("{" + _names(100_000, stem="generation_confi_") + "}"),
    "many unknown fields beside the request": lambda: '{"request":{},' + _names(200_000) + "}\n",
    "many wrong parts": lambda: _parts(_many(100_000, '{"txt":1}')),
    "many parts of two things": lambda: _parts(_many(60_000, '{"text":"x","fileData":{}}')),
    "many wrong tools": lambda: _request('{"contents":[],"tools":[' + _many(100_000, '{"x":1}') + "]}"),
    "a name of ten megabytes": lambda: _request('{"' + "n" * 10_000_000 + '":1}'),
    "a snake of ten megabytes": lambda: _request('{"' + "_a" * 5_000_000 + '":1}'),
    "a name of much and many below": lambda: '{"a":1,"a":2,"' + "n" * 3_000_000 + '":[' + _many(100_000, "[]") + "]}\n",
    "a name of much, then one twice": lambda: (
        '{"' + "n" * 3_000_000 + '":[' + _many(100_000, "{}") + ',{"a":1,"a":2}]}\n'
    ),
    "the last of many names is there twice": lambda: "{" + _names(120_000) + ',"n119999":2}\n',
    "every name is there twice": lambda: "{" + _many(100_000, '"a":1') + "}\n",
    "many objects with a name twice": lambda: "[" + _many(60_000, '{"a":1,"a":2}') + "]\n",
    "names twice in a request": lambda: _request(
        '{"contents":[{"parts":[' + _many(50_000, '{"text":"a","text":"b"}') + "]}]}"
    ),
    "names twice in other escapes": lambda: '{"a":1,"\\u0061":2}\n',
    "a number of many digits": lambda: _request('{"a":' + "9" * 5_000_000 + "}"),
    "many numbers of many digits": lambda: '{"a":[' + _many(40_000, "9" * 390) + "]}\n",
    "a float of many digits": lambda: _request('{"a":0.' + "9" * 5_000_000 + "}"),
    "a large exponent": lambda: '{"a":1e999999999}\n',
    "a small exponent": lambda: '{"a":1e-999999999}\n',
    "an exponent of many digits": lambda: '{"a":1e' + "9" * 1_000_000 + "}\n",
    "NaN": lambda: _many(10_000, "NaN") + "\n",
    "Infinity": lambda: '{"a":-Infinity}\n',
    "a lone surrogate": lambda: _parts('{"text":"\\ud800"}'),
    "many lone surrogates": lambda: _parts('{"text":"' + "\\ud800" * 500_000 + '"}'),
    "pairs of surrogates": lambda: _parts('{"text":"' + "\\ud83d\\ude00" * 500_000 + '"}'),
    "a lone surrogate in a name": lambda: '{"\\udc00":1,"request":{}}\n',
    "one wide character in much": lambda: _parts('{"text":"' + "a" * 10_000_000 + '\U0001f600","x":1}'),
    "escapes": lambda: _parts('{"text":"' + "\\u0041" * 1_500_000 + '"}'),
    "escaped quotes": lambda: _parts('{"text":"' + '\\"' * 4_000_000 + '"}'),
    "backslashes": lambda: _parts('{"text":"' + "\\\\" * 4_000_000 + '"}'),
    "a string that never closes": lambda: '{"request":"' + "a" * 10_000_000 + "\n",
    "quotes": lambda: '"' * 5_000_000 + "\n",
    "commas": lambda: "[" + "," * 10_000_000 + "]\n",
    "commas in a text": lambda: _parts('{"text":"' + "," * 10_000_000 + '"}'),
    "brackets in a text": lambda: _parts('{"text":"' + "[{" * 5_000_000 + '"}'),
    "colons": lambda: ":" * 10_000_000 + "\n",
    "minus signs": lambda: "-" * 10_000_000 + "\n",
    "white space": lambda: " " * 15_000_000 + "\n",
    "white space in a line": lambda: '{"key":1,' + " " * 15_000_000 + '"request":{}}\n',
    "control characters": lambda: '{"a":"' + "\x01" * 1_000_000 + '"}\n',
    "NUL in a line": lambda: _GOOD + '{"key":"\0"}\n' + _GOOD,
    "NUL everywhere": lambda: "\0" * 10_000_000,
    "an array first": lambda: "[1,2,3]\n" + _GOOD * 3,
    "one array": lambda: "[" + _GOOD.strip() + ",\n" + _GOOD.strip() + "]\n",
    "one array of much": lambda: "[" + _many(100_000, '{"key":1}') + "]\n",
    "U+2028": lambda: _parts('{"text":"' + "\u2028\u2029\u0085" * 100_000 + '"}'),
    "combining characters": lambda: _parts('{"text":"' + "a" + "\u0301" * 2_000_000 + '"}'),
    "right to left": lambda: '{"\u202ekey\u202c":1}\n',
    "a name in two normal forms": lambda: '{"\u00e9":1,"e\u0301":2,"request":{}}\n',
    "full-width names": lambda: '{"\uff4b\uff45\uff59":1}\n',
    "a key of five megabytes": lambda: '{"key":"' + "k" * 5_000_000 + '","request":{"contents":[]}}\n',
    "a key that is a list": lambda: '{"key":[' + _many(100_000, "1") + '],"request":{"contents":[]}}\n',
    "a key of many digits": lambda: '{"key":' + "9" * 300 + ',"request":{"contents":[]}}\n',
    "base64 of much": lambda: _parts('{"inlineData":{"mimeType":"image/png","data":"' + "A" * 15_000_000 + '"}}'),
    "base64 that is none": lambda: _parts('{"inlineData":{"mimeType":"image/png","data":"' + "-_" * 5_000_000 + '!"}}'),
    "many images of nothing": lambda: _parts(_many(60_000, '{"inlineData":{"mimeType":"image/png","data":""}}')),
    "a mime type of much": lambda: _parts('{"inlineData":{"mimeType":"image/' + "a" * 5_000_000 + '","data":"QQ=="}}'),
    "an address of much": lambda: _parts('{"fileData":{"fileUri":"gs://' + "a" * 5_000_000 + '"}}'),
    "many addresses": lambda: _parts(_many(60_000, '{"fileData":{"fileUri":"gs://b/o","mimeType":"image/png"}}')),
    "a cached content of much": lambda: _request(
        '{"contents":[],"cachedContent":"cachedContents/' + "a" * 5_000_000 + '"}'
    ),
    "a function's name of much": lambda: _request(
        '{"contents":[],"tools":[{"functionDeclarations":[{"name":"' + "a" * 5_000_000 + '"}]}]}'
    ),
    "a tool's schema that branches": lambda: _request(
        '{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":'
        + json.dumps({"$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}})
        + "}]}]}"
    ),
    "many stop sequences": lambda: _request(
        '{"contents":[],"generationConfig":{"stopSequences":[' + _many(200_000, '"x"') + "]}}"
    ),
    "settings of much": lambda: _request('{"contents":[],"generationConfig":{"x":"' + "a" * 10_000_000 + '"}}'),
    "a mime type matched slowly": lambda: _request(
        '{"contents":[],"generationConfig":{"responseMimeType":"' + "application/" * 400_000 + '"}}'
    ),
    "an embedding of much": lambda: _request('{"content":{"parts":[' + _many(500_000, '{"text":"x"}') + "]}}"),
    "many blank lines": lambda: "\n" * 500_000 + _GOOD,
    "many short lines": lambda: "{}\n" * 50_000,
    "many broken lines": lambda: "{\n" * 30_000,
    "carriage returns": lambda: "\r" * 5_000_000 + "\n" + _GOOD,
    "byte order marks": lambda: "\ufeff" * 1_000_000 + "\n" + _GOOD,
    "OpenAI with many messages": lambda: _openai(_many(60_000, '{"role":"user","content":"x"}')),
    "OpenAI with many wrong messages": lambda: _openai(_many(60_000, '{"role":"x","content":[{"type":"y"}]}')),
    "OpenAI with a long data address": lambda: _openai(
        '{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,'
        + "A" * 10_000_000
        + '"}}]}'
    ),
    "OpenAI with a data address of semicolons": lambda: _openai(
        '{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:' + ";" * 5_000_000 + '"}}]}'
    ),
    "OpenAI with tools": lambda: _openai(
        '{"role":"user","content":"x"}', '"tools":[' + _many(40_000, '{"type":"x"}') + "]"
    ),
    "OpenAI with a schema that branches": lambda: _openai(
        '{"role":"user","content":"x"}',
        '"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":'
        + json.dumps(
            {"$defs": {"d0": {}} | {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 60)}}
        )[:-1]
        + ',"$ref":"#/$defs/d59"}}}',
    ),
    "Anthropic with many blocks": lambda: (
        '{"custom_id":"a","params":{"model":"m","max_tokens":1,"messages":[{"role":"user","content":['
        + _many(60_000, '{"type":"text","text":"x"}')
        + "]}]}}\n"
    ),
    "Anthropic with unknown fields": lambda: '{"custom_id":"a","params":{"messages":[],' + _names(100_000) + "}}\n",
    "records without a recipe": lambda: "{" + _names(100_000) + "}\n",
}
_BYTES: dict[str, Callable[[], bytes]] = {
    "bytes that are no UTF-8": lambda: b'{"key":"\xff\xfe"}\n' * 10_000,
    "much that is no UTF-8": lambda: b'{"key":"' + b"\xff" * 10_000_000 + b'"}\n',
    "UTF-16": lambda: _GOOD.encode("utf-16"),
    "overlong UTF-8": lambda: b'{"key":"\xc0\xaf\xe0\x80\xaf"}\n',
    "surrogates in UTF-8": lambda: b'{"key":"\xed\xa0\x80"}\n',
    "a line over the limit": lambda: b'{"key":"' + b"a" * (21 << 20) + b'"}\n' + _GOOD.encode(),
    "no newline": lambda: b"a" * (21 << 20),
    "nothing": lambda: b"",
}


def _openai(messages: str, more: str = '"n":1') -> str:
    body = f'{{"model":"gpt-4o","messages":[{messages}],{more}}}'
    return f'{{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{body}}}\n'


def _encoded(make: Callable[[], str]) -> Callable[[], bytes]:
    return lambda: make().encode("utf-8", "surrogatepass")


def cases() -> Iterator[Case]:
    """Yield all cases of lines."""
    for name, make in _LINES.items():
        yield Case(f"line: {name}", _encoded(make))
    for name, make in _BYTES.items():
        yield Case(f"line: {name}", make)
    recipe = b"prompt: 'x {{ a }}'\nkey: a\noutput: {formats: [csv], join: true}\n"
    for name in ("many zeros", "every name is there twice", "a number of many digits", "records without a recipe"):
        yield Case(f"record: {name}", _encoded(_LINES[name]), recipe=recipe)
    yield Case(
        "record: many other fields", lambda: b"".join(b'{"a":1,"f%d":2}\n' % n for n in range(20_000)), recipe=recipe
    )
