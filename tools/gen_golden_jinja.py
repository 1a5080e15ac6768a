#!/usr/bin/env python3
"""Write tests/golden/jinja.json: templates, contexts, and what jinja2 makes of them.

Made with jinja2 3.1.6 in the environment that transformers 5 renders chat templates in
(ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls, its own tojson).
Usage: tools/gen_golden_jinja.py.  Each case has "name", "template", perhaps "changes" to the
context, and either "output" or "fails": true.  "distill" are renderings of the template in the
metadata of ../shared/data/r1-distill-qwen-7b.gguf-head, which itself is not stored.
"""
import datetime
import json
import struct
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = Path(__file__).resolve().parent.parent

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  Hi, \u00e9\u00df\u4f60\u597d  "},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."},
    {"role": "user", "content": "2+2?"},
]
TOOLS = [{"type": "function", "function": {
    "name": "add", "description": "Adds <two> numbers & \"more\".",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"},
                                                     "b": {"type": "number", "default": 1.5}},
                   "required": ["a", "b"]}}}]
CTX = {
    "messages": CHAT, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
    "tools": None, "i": 7, "j": -3, "f": 2.5, "s": "Hello, World", "e": "", "t": True, "n": None,
    "u": "na\u00efve \u4f60\u597d \U0001f600", "xs": [3, 1, 2], "words": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": [1, {"x": None}], "c": "z"}, "nl": "a\nb\n\nc",
}
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}")
REASONER = """{% if not add_generation_prompt is defined %}
{% set add_generation_prompt = false %}{% endif %}
{% set ns = namespace(is_tool=false, system='') -%}
{%- for message in messages %}{% if message['role'] == 'system' %}
{% set ns.system = message['content'] %}{% endif %}{% endfor -%}
{{ bos_token }}{{ ns.system }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {%- set ns.is_tool = false -%}
        {{ '<\uff5cUser\uff5c>' + message['content'] }}
    {%- elif message['role'] == 'assistant' and message['content'] is none %}
        {%- for tool in message['tool_calls'] %}
            {{- '<\uff5cAssistant\uff5c>' if loop.first else '\\n' }}
            {{- tool['function']['name'] }}
            {{- '\\n```json\\n' + tool['function']['arguments'] + '\\n```' }}
        {%- endfor %}
        {{- '<\uff5cend\u2581of\u2581sentence\uff5c>' }}
    {%- elif message['role'] == 'assistant' %}
        {%- set content = message['content'] %}
        {%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
        {{- '<\uff5cAssistant\uff5c>' + content + '<\uff5cend\u2581of\u2581sentence\uff5c>' }}
    {%- elif message['role'] == 'tool' %}
        {%- set ns.is_tool = true -%}
        {{- '<\uff5ctool\u2581output\u2581begin\uff5c>' + message['content'] }}
        {{- '<\uff5ctool\u2581output\u2581end\uff5c>' }}
    {%- endif %}
{%- endfor -%}
{% if add_generation_prompt and not ns.is_tool %}
{{ '<\uff5cAssistant\uff5c><think>\\n' }}{% endif %}
"""
TOOL_CHAT = [
    {"role": "user", "content": "Add."},
    {"role": "assistant", "content": None, "tool_calls": [
        {"type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}},
        {"type": "function", "function": {"name": "mul", "arguments": "{}"}}]},
    {"role": "tool", "content": "2"},
]
TOOL_PROMPT = """
{%- macro json_spec(t, depth=0) -%}
{{ '  ' * depth }}{{ t.name }}: {{ t.description | default('?') }}
{%- for key, value in t.parameters.properties.items() %}

{{ '  ' * (depth + 1) }}- {{ key }} ({{ value.type | upper }})
{{- ' *' if key in t.parameters.required }}
{%- endfor %}
{%- endmacro -%}
{%- if tools %}
    {{- '# Tools\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
        {{- '\\n' + json_spec(tool.function, depth=1) }}
    {%- endfor %}
{%- endif %}
{%- if messages[0].role == 'system' %}
    {%- set system_message = messages[0].content | trim %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message.content is string %}
        {{- '[' + message.role + '] ' + message.content | trim + ('\\n' if not loop.last else '') }}
    {%- else %}
        {%- for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}
    {%- endif %}
{%- endfor %}
"""

# (name, template) or (name, template, additions to the context)
CASES = [
    ("empty", ""),
    ("text", "just text\n"),
    ("text keeps one of two newlines", "a\n\n"),
    ("carriage returns", "a\r\nb\rc\r\n"),
    ("unicode text", "\xe9 \u4f60\u597d \U0001f600 {{ u }}"),
    ("lone braces", "{ } %} }} #} {a} { {"),
    # whitespace control
    ("trim_blocks", "{% if true %}\n  x\n{% endif %}\n  y\n"),
    ("lstrip_blocks", "a\n   {% if true %}b{% endif %}\n   {{ 1 }}\n   {# c #}\nz"),
    ("lstrip at the start", "   {% set x = 1 %}\n   {{ x }}"),
    ("lstrip not after text", "a   {% if true %}b{% endif %}"),
    ("lstrip after a print", "{{ 1 }}   {% if true %}b{% endif %}"),
    ("lstrip after a block on its line",
     "{% if true %}   {% if true %}b{% endif %}{% endif %}"),
    ("minus", "a \n {%- if true -%} \n b \n {%- endif -%} \n c"),
    ("minus print", "a \n {{- 1 -}} \n b"),
    ("minus comment", "a \n {#- x -#} \n b {#  y #}\n c"),
    ("plus", "a\n   {%+ if true +%}\nb\n{% endif %}"),
    ("comment trims", "a\n{# one #}\n{# two\nlines #}\nb"),
    ("unicode space", "a\xa0\u3000{%- if true -%}\u2003b{% endif %}"),
    ("raw", "a {% raw %}{{ x }} {% if %}{% endraw %} b"),
    ("raw trims", "  {%- raw -%}  {{ x }}  {%- endraw -%}  b\n"),
    ("raw newline", "{% raw %}\n {{ x }}\n {% endraw %}\nb"),
    ("minus in a tag", "{{ 1 -1 }}{{ 3 - 1}}{{-1}}{{ -1 -}}  "),
    # literals
    ("strings",
     "{{ 'a\\n\\t\\\\\\'\"b' }}{{ \"c'\\\"\\x41\\u00e9\\U0001F600\\101\\7\" ~ 'x' 'y' }}"
     "{{ '\\d\\\nz' }}"),
    ("integers",
     "{{ 0 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 9223372036854775807 }}"),
    ("floats",
     "{{ 1.0 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 0.1 }} {{ 1e16 }} {{ 123456789012345.6 }} "
     "{{ 1e15 }} {{ 1e-4 }} {{ 1e-5 }} {{ 1_0.5 }} {{ 1e100 }} {{ 0.1 + 0.2 }}"),
    ("more floats",
     "{{ 5e-324 }} {{ 2.5e-310 }} {{ 1.7976931348623157e308 }} {{ 2.2250738585072014e-308 }} "
     "{{ 1.2345678901234567 }} {{ 9007199254740993.0 }} {{ 1.1e300 }} {{ 1/3 }} {{ 100.0 }} "
     "{{ 1.1e300|round(9) }} {{ 4503599627370497.5|round(3) }} {{ -0.0 }} {{ -0.04|round(1) }}"),
    ("constants", "{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}"),
    ("lists", "{{ [] }} {{ [1, 'a', none, 2.5, [true]] }} {{ [1,] }}"),
    ("tuples", "{{ () }} {{ (1,) }} {{ (1, 2) }} {{ 1, 2 }} {{ (1) }}"),
    ("dicts", "{{ {} }} {{ {'a': 1, 2: [3], none: {'b': ()}} }} {{ {'a': 1, 'a': 2} }}"),
    ("repr of strings",
     "{{ ['a\\'b', 'c\"d', 'e\\'f\"', '\\n\\t\\\\', '\\x7f\\xa0\\u200b\\U000e0001', u] }}"),
    ("repr of views",
     "{{ d.keys() }} {{ {'a': 1}.items() }} {{ [2].copy() if false else 1 }} "
     "{{ {'a': 1}.values() }} {{ range(3) }} {{ range(5, 1, -2) }}"),
    ("namespace repr", "{{ namespace(a=1) }}"),
    # expressions
    ("arithmetic",
     "{{ 7 + 2 }} {{ 7 - 9 }} {{ 7 * 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} "
     "{{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}"),
    ("floats in arithmetic",
     "{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ -7.5 % 2 }} {{ 1.5 * 2 }} {{ 2 ** 0.5 }} "
     "{{ 1 + 1.0 }} {{ 6.0 // 0.1 }} {{ true + true }}"),
    ("precedence",
     "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 10 - 3 - 2 }} "
     "{{ 'a' ~ (1 + 2) }} {{ 'a' + 1 ~ 2 }} {{ not true or true }} "
     "{{ 1 if false else 2 if false else 3 }}"),
    ("unary",
     "{{ -i }} {{ +i }} {{ - -i }} {{ -f }} {{ -true }} {{ not not 3 }} {{ -i|abs }} "
     "{{ -1|abs }}"),
    ("sequences added",
     "{{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'ab' * 3 }} {{ 2 * [0] }} {{ 'a' * -1 }}"),
    ("concat", "{{ 1 ~ 'a' ~ none ~ [1] ~ missing ~ 1.0 }}"),
    ("comparison",
     "{{ 1 < 2 }} {{ 2 <= 1 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ 1 == true }} "
     "{{ 'a' != 'a' }} {{ [1, 2] < [1, 3] }} {{ (1,) == [1] }} {{ none == none }} "
     "{{ 'A' > 'a' }} {{ 1 == '1' }}"),
    ("chained comparison", "{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1 in [1] }}"),
    ("dict equality", "{{ {'a': 1, 'b': [2]} == {'b': [2], 'a': 1} }} {{ {'a': 1} == {} }}"),
    ("in",
     "{{ 'ell' in s }} {{ 1 in xs }} {{ 9 not in xs }} {{ 'b' in d }} {{ 'q' in d }} "
     "{{ '' in e }} {{ 1 in d.a }} {{ 'x' in missing }} {{ 1 in range(2) }} "
     "{{ 'a' in d.keys() }}"),
    ("and or",
     "{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'x' }} {{ e or n }} {{ not e }} {{ t and not n }}"),
    ("inline if", "{{ 'a' if t }}{{ 'b' if n }}{{ 'c' if n else 'd' }}"),
    ("and short-circuits", "{{ false and missing.x }}{{ true or missing.x }}"),
    ("truth",
     "{% for v in [0, 0.0, '', [], {}, (), none, false, 1, 'a', [0], {'a': 1}] %}"
     "{{ 1 if v else 0 }}{% endfor %}"),
    # items and attributes
    ("items",
     "{{ d['b'] }} {{ d.b }} {{ d['a'][1]['x'] }} {{ d.a[1].x }} {{ xs[0] }} {{ xs[-1] }} "
     "{{ xs.0 }} {{ s[1] }} {{ s[-1] }} {{ u[6] }} {{ xs[true] }}"),
    ("undefined items",
     "[{{ d.q }}{{ d['q'] }}{{ xs[9] }}{{ xs['a'] }}{{ s.q }}{{ i.q }}{{ n.q }}{{ missing }}"
     "]"),
    ("method before item",
     "{{ {'items': 3}['items'] }} {{ {'get': 1}.get('get') }} {{ {'pop': 1}.pop }}"),
    ("slices",
     "{{ s[1:4] }}|{{ s[:3] }}|{{ s[-3:] }}|{{ s[::2] }}|{{ s[::-1] }}|{{ xs[1:] }}"
     "|{{ xs[:-1] }}|{{ xs[::-1] }}|{{ s[5:2] }}|{{ xs[10:] }}|{{ u[6:8] }}|{{ u[::-1] }}"
     "|{{ xs[-9:9] }}|{{ s[8:0:-3] }}"),
    ("slices of nothing",
     "{{ []|list }}{{ ''[1:] }}{{ ''[::-1] }}{{ (1, 2, 3)[1:] }}{{ range(5)[1:3] }}"),
    ("calls",
     "{{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ range(1, 4)|list }} "
     "{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'y': 2}, z=3) }}"),
    # statements
    ("set", "{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}"),
    ("set several", "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = 'xy' %}{{ c }}{{ d }}"),
    ("set tuple", "{% set a = 1, 2 %}{{ a }}"),
    ("set block",
     "{% set x %}\n  <{{ i }}>\n{% endset %}[{{ x }}]{% set y | upper | trim %} "
     " q {% endset %}[{{ y }}]"),
    ("set in if", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}"),
    ("set in for is local",
     "{% set x = 1 %}{% for q in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}"),
    ("set in for starts anew",
     "{% for q in [1, 2] %}{% if loop.first %}{% set y = q %}{% endif %}[{{ y }}"
     "]{% endfor %}"),
    ("namespace",
     "{% set ns = namespace(x=0, l=[]) %}{% for q in xs %}{% set ns.x = ns.x + q %}"
     "{% set ns.l = ns.l + [q] %}{% endfor %}{{ ns.x }} {{ ns.l }} {{ ns['x'] }} "
     "{{ ns.q is defined }}"),
    ("namespace of dict", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}"),
    ("if",
     "{% if i > 9 %}a{% elif i > 5 %}b{% elif i > 1 %}c{% else %}d{% endif %}{% if n %}"
     "x{% else %}y{% endif %}"),
    ("nested if", "{% if t %}{% if n %}1{% elif t %}2{% endif %}{% endif %}"),
    ("for", "{% for x in xs %}{{ x }},{% endfor %}"),
    ("for loop variables",
     "{% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
     "{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}"
     "{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}"),
    ("for previtem",
     "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}"
     "{% endfor %}"),
    ("for cycle",
     "{% for x in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}{% endfor %}"),
    ("for else",
     "{% for x in [] %}a{% else %}b{% endfor %}{% for x in missing %}a{% else %}"
     "c{% endfor %}{% for x in [1] %}a{% else %}d{% endfor %}"),
    ("for if",
     "{% for x in range(9) if x % 2 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% else %}"
     "none{% endfor %}"),
    ("for if none", "{% for x in xs if x > 9 %}x{% else %}none{% endfor %}"),
    ("for unpacks",
     "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for a, (b, c) in [(1, (2, "
     "3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}"),
    ("for over dict", "{% for k in d %}{{ k }}{% endfor %}"),
    ("for over text", "{% for c in u %}{{ c }}.{% endfor %}"),
    ("for nested",
     "{% for a in [1, 2] %}{% for b in [3, 4] %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}"
     "{{ loop.index }};{% endfor %}"),
    ("for outer loop",
     "{% for a in [1, 2] %}{% set o = loop %}{% for b in 'xy' %}{{ o.index }}{{ b }}"
     "{% endfor %}{% endfor %}"),
    ("for variable is local",
     "{% set x = 9 %}{% for x in xs %}{% endfor %}{{ x }}{{ loop is defined }}"),
    ("break continue",
     "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}"
     "{% break %}{% endif %}{{ x }}{% endfor %}."),
    ("break inner",
     "{% for a in [1, 2] %}{% for b in [1, 2] %}{% break %}{% endfor %}{{ a }}{% else %}"
     "e{% endfor %}"),
    ("if tuple", "{% if 1, %}a{% endif %}"),
    ("with", "{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}"),
    ("filter block", "{% filter upper | replace('A', '-') %}abc {{ s }}{% endfilter %}"),
    ("generation", "{% generation %}x{% endgeneration %}"),
    # macros
    ("macro",
     "{% macro m(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, "
     "a=4) }}{{ m() }}"),
    ("macro scope",
     "{% set x = 1 %}{% macro m(a=x) %}{{ a }}{{ x }}{{ i }}{% endmacro %}{% set x = 2 %}"
     "{{ m() }}"),
    ("macro returns text",
     "{% macro m() %} a {% endmacro %}{{ m()|trim }}{{ m()|length }}{% set v = m() %}"
     "{{ v ~ 'b' }}"),
    ("macro calls macro",
     "{% macro a(n) %}{{ n }}{% if n > 0 %}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(5) }}"),
    ("macro varargs",
     "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}"),
    ("macro default uses argument", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}"),
    ("call block",
     "{% macro m(a) %}<{{ caller() }}{{ a }}>{% endmacro %}{% call m(1) %}in{% endcall %}"),
    ("call block with argument",
     "{% macro m() %}{{ caller(2) }}{% endmacro %}{% call(x) m() %}<{{ x }}>{% endcall %}"),
    ("macro whitespace", "{%- macro m() -%}\n  x\n{%- endmacro -%}\n[{{ m() }}]"),
    # string methods
    ("strip",
     "[{{ '  a '.strip() }}][{{ '  a '.lstrip() }}][{{ '  a '.rstrip() }}"
     "][{{ 'xxaxy'.strip('xy') }}][{{ '\u3000a\xa0'.strip() }}"
     "][{{ '\u4f60a\u4f60'.strip('\u4f60') }}]"),
    ("split",
     "{{ 'a,b,,c'.split(',') }} {{ ' a  b c '.split() }} {{ 'a,b,c'.split(',', 1) }} "
     "{{ ' a b c '.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} "
     "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.rsplit(none, 1) }} "
     "{{ 'a--b'.split('--')[-1] }} {{ 'a b'.split(maxsplit=0) }}"),
    ("splitlines",
     "{{ 'a\\nb\\r\\nc\\rd\\x85e\\u2028'.splitlines() }} {{ 'a\\n\\nb'.splitlines(true) }}"),
    ("partition",
     "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'a'.partition('=') }} "
     "{{ 'a'.rpartition('=') }}"),
    ("startswith",
     "{{ s.startswith('He') }} {{ s.endswith('x') }} {{ s.startswith(('x', 'H')) }} "
     "{{ s.endswith('') }}"),
    ("replace",
     "{{ s.replace('l', 'L') }} {{ s.replace('l', '', 2) }} {{ 'ab'.replace('', '-') }} "
     "{{ 'aaa'.replace('aa', 'b') }} {{ 'ab'.replace('', '-', 2) }} {{ '\u4f60'.replace('', "
     "'-') }}"),
    ("case",
     "{{ s.upper() }} {{ s.lower() }} {{ 'a bC-d'.title() }} {{ 'aBC'.capitalize() }} "
     "{{ u.upper() }} {{ 'stra\xdfe'.upper() }} {{ 'aB'.swapcase() }} "
     "{{ \"they're x1y\".title() }}"),
    ("find",
     "{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('q') }} {{ u.find('\u597d') }} "
     "{{ s.index('W') }} {{ s.count('l') }} {{ 'aaaa'.count('aa') }} {{ 'ab'.count('') }}"),
    ("classes",
     "{{ '12'.isdigit() }} {{ 'a1'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} "
     "{{ ''.isspace() }} {{ 'aB'.islower() }} {{ 'AB1'.isupper() }} {{ '\u4f60'.isalpha() }}"),
    ("affixes",
     "{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} "
     "{{ 'abc'.removeprefix('x') }}"),
    ("format",
     "{{ '{}-{}'.format(1, 'a') }} {{ '{1}{0}{1}'.format('x', none) }} "
     "{{ '{{{a}}}'.format(a=2.0) }} {{ ''.format(1) }} {{ '<{}>'.format(xs) }}"),
    ("rindex", "{{ s.rindex('o') }} {{ u.rindex('\u597d') }}"),
    ("join method", "{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join([]) }}"),
    ("list methods", "{{ xs.index(2) }} {{ xs.count(1) }} {{ (1, 1).count(1) }}"),
    # filters
    ("trim filter",
     "[{{ '  a b '|trim }}][{{ 'xxa'|trim('x') }}][{{ 5|trim }}][{{ missing|trim }}]"),
    ("length",
     "{{ s|length }} {{ u|length }} {{ xs|count }} {{ d|length }} {{ missing|length }} "
     "{{ range(4)|length }}"),
    ("default",
     "{{ missing|default('x') }} {{ n|default('x') }} {{ n|default('x', true) }} "
     "{{ ''|d('y', boolean=true) }} {{ missing|default }} {{ d.q|default(1) }}"),
    ("tojson",
     "{{ d|tojson }} {{ u|tojson }} {{ tools|tojson }} {{ 1.0|tojson }} {{ true|tojson }} "
     "{{ (1, 'a')|tojson }} {{ '\\n\\t\"\\\\\\x01\\x7f/<>&\\u2028'|tojson }} {{ {1: 2, "
     "none: 3, true: 4, 1.5: 5}|tojson }}"),
    ("tojson indent",
     "{{ tools|tojson(indent=4) }}\n{{ d|tojson(indent=2) }} {{ []|tojson(indent=2) }} "
     "{{ {}|tojson(indent=2) }} {{ [1]|tojson(indent=0) }} {{ [1]|tojson(indent='\\t') }}",
     {"tools": TOOLS}),
    ("tojson options",
     "{{ d|tojson(sort_keys=true) }} {{ u|tojson(ensure_ascii=true) }} "
     "{{ d|tojson(separators=(',', ':')) }} {{ d|tojson(true, 1) }}"),
    ("join",
     "{{ xs|join }} {{ xs|join(', ') }} {{ [1, none, 'a', missing]|join('-') }} "
     "{{ messages|join(',', attribute='role') }} {{ 'abc'|join('.') }}"),
    ("case filters",
     "{{ s|upper }} {{ s|lower }} {{ 'aBC dE'|capitalize }} "
     "{{ \"they're (x) y-z a_b\"|title }} {{ 5|upper }} {{ missing|lower }}"),
    ("first last",
     "{{ xs|first }} {{ xs|last }} {{ s|first }} {{ s|last }} [{{ []|first }}{{ []|last }}]"),
    ("list", "{{ 'abc'|list }} {{ d|list }} {{ (1, 2)|list }} {{ d.items()|list }}"),
    ("string", "{{ 5|string ~ 1.5|string }} {{ [1]|string|length }} {{ 'a'|safe }}"),
    ("int",
     "{{ '42'|int }} {{ ' 7 '|int }} {{ 'x'|int }} {{ 'x'|int(3) }} {{ 3.9|int }} "
     "{{ -3.9|int }} {{ '2.7'|int }} {{ true|int }} {{ 'ff'|int(base=16) }} "
     "{{ '0x1f'|int(0, 16) }} {{ none|int }} {{ [1]|int(5) }} {{ '1_000'|int }}"),
    ("float",
     "{{ '4.5'|float }} {{ 3|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} "
     "{{ '1e3'|float }} {{ none|float }}"),
    ("replace filter",
     "{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 1) }} {{ 121|replace(1, 3) }}"),
    ("items filter",
     "{% for k, v in d|items %}{{ k }}{{ v }}{% endfor %}{% for k, v in missing|items %}"
     "x{% endfor %}"),
    ("map",
     "{{ messages|map(attribute='role')|list }} {{ words|map('upper')|join }} "
     "{{ messages|map(attribute='q', default=1)|list }} {{ [[1], "
     "[2]]|map(attribute=0)|list }} {{ [{'a': {'b': 1}}]|map(attribute='a.b')|list }} "
     "{{ xs|map('string')|list }} {{ ['a-b']|map('replace', '-', '+')|first }}"),
    ("select",
     "{{ xs|select('odd')|list }} {{ xs|reject('odd')|list }} {{ [0, 1, '', "
     "'a']|select|list }} {{ xs|select('gt', 1)|list }} {{ [1, none]|reject('none')|list }} "
     "{{ xs|select('in', [1, 2])|list }}"),
    ("selectattr",
     "{{ messages|selectattr('role', 'equalto', 'user')|list|length }} "
     "{{ messages|rejectattr('role', 'eq', 'user')|map(attribute='role')|list }} "
     "{{ messages|selectattr('content')|list|length }} {{ (messages|selectattr('role', "
     "'==', 'user')|first).content }} {{ messages|selectattr('q', 'defined')|list }}"),
    ("generators are true",
     "{{ 1 if []|select else 0 }} {% set g = xs|map('string') %}{{ g|list }}{{ g|list }}"),
    ("filters of nothing",
     "{{ n|select('odd')|list }}{{ n|map('upper')|list }}{{ n|selectattr('x')|list }}"),
    ("reverse", "{{ s|reverse }} {{ xs|reverse|list }} {{ d|reverse|list }}"),
    ("unique",
     "{{ [1, 2, 1, 3.0, 3]|unique|list }} {{ words|unique|list }} "
     "{{ words|unique(true)|list }} "
     "{{ messages|unique(attribute='role')|map(attribute='role')|list }}"),
    ("sort",
     "{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ words|sort }} "
     "{{ words|sort(case_sensitive=true) }} {{ words|sort(reverse=true) }} "
     "{{ messages|sort(attribute='role')|map(attribute='role')|list }} {{ [[2, 1], [1, "
     "9]]|sort }}"),
    ("dictsort",
     "{{ d|dictsort|map('first')|list }} {{ {'a': 2, 'B': 1}|dictsort }} {{ {'a': 2, "
     "'B': 1}|dictsort(by='value') }} {{ {'a': 2, 'B': 1}|dictsort(true) }} {{ {'a': 2, "
     "'B': 1}|dictsort(reverse=true) }}"),
    ("min max sum",
     "{{ xs|min }} {{ xs|max }} {{ xs|sum }} {{ words|min }} {{ words|max }} [{{ []|min }}"
     "] {{ [1.5, 2]|sum(start=1) }} {{ [{'a': 1}, {'a': 2}]|sum(attribute='a') }} "
     "{{ [{'a': 1}, {'a': 2}]|max(attribute='a') }}"),
    ("abs round",
     "{{ -5|abs }} {{ j|abs }} {{ (-2.5)|abs }} {{ 2.5|round }} {{ 3.5|round }} "
     "{{ 2.675|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ 2.99|round(1, 'floor') }} "
     "{{ 7|round }} {{ 1234.5678|round(precision=2) }}"),
    ("percent",
     "{{ '%s|%5s|%-5s|%.2s|%r' % (i, 'a\u4f60', 'b', u, s) }} {{ '%d%%' % 7 }} {{ '%05d|%+d|% d' % "
     "(i, i, i) }} {{ '%x|%X|%o|%#x' % (255, 255, 8, 255) }} "
     "{{ '%e|%.3g|%5.1f|%g' % (f, f, f, 1e20) }} "
     "{{ '%(b)s-%(c)5s' % d }} {{ '%c%c' % ('x', 20320) }} {{ '%s' % xs }} {{ '%s' % none }} "
     "{{ '%d' % 2.9 }} {{ '%s' % (xs,) }}"),
    ("percent: too few", "{{ '%s %s' % (1,) }}"),
    ("percent: too many", "{{ '%s' % (1, 2) }}"),
    ("percent: no place", "{{ 'a' % 1 }}"),
    ("percent: not a number", "{{ '%d' % 'a' }}"),
    ("percent: no letter", "{{ '%' % 1 }}"),
    ("percent: no such name", "{{ '%(q)s' % d }}"),
    ("format filter",
     "{{ '%s, %s!'|format('a', i) }} {{ '%(x)s'|format(x=1) }} {{ '-'|format }} {{ 5|format }}"),
    ("range prints",
     "{{ range(4) }} {{ range(5, 0, -2) }} {{ range(2, 2) }} {{ range(9)[2:5] }}"),
    ("sort by what is missing", "{{ xs|sort(attribute='k') }}"),
    ("dictsort of what has no order", "{{ {'a': none, 'b': none}|dictsort(by='value') }}"),
    ("a tuple of lists is no key", "{{ [(1, [2])]|unique|list }}"),
    ("escaped", "{{ '<'|e is escaped }} {{ s is escaped }} {{ 1 is escaped }}"),
    ("indent",
     "{{ nl|indent }}|{{ nl|indent(2, true) }}|{{ nl|indent(2, blank=true) }}"
     "|{{ nl|indent('> ') }}|{{ 'a\\n'|indent(1) }}|{{ ''|indent(2, true) }}"
     "|{{ 'a\\n\\n'|indent(1, blank=true) }}"),
    ("filter chain",
     "{{ '  A b '|trim|lower|replace(' ', '_')|length }} "
     "{{ xs|map('string')|map('int')|sum }}"),
    ("safe text escapes what joins it",
     "{{ '<'|safe }}{{ '<' + '&' }}{{ '<'|safe + '<&>\"\\'' }}{{ '>' + '<'|safe ~ '>' }} "
     "{{ ('<b>'|safe)[1:] + '>' }} {{ (' <'|safe)|trim + '>' }} {{ ('a'|safe).upper() ~ '<' }} "
     "{{ ('a'|safe)|title ~ '<' }} {{ ('<'|safe) * 2 + '>' }} {{ ['<'|safe, '>']|join }} "
     "{{ 'a'|safe == 'a' }} {{ ('a <'|safe)|tojson }} {{ ('{}<'|safe).format('>') }} "
     "{{ ('<a>'|safe).replace('a', '>') ~ '<' }} {{ ('a'|safe)|string + '<' }}"),
    ("escape", "{{ '<a href=\"x\">&\\'' | e }} {{ '<'|escape|e }} {{ 5|escape }}{{ none|e }} "
               "{{ ('<'|e ~ '>')|length }}"),
    ("filter on call", "{{ d.get('c')|upper }} {{ [1, 2]|last + 1 }} {{ 'a' ~ 'b'|upper }}"),
    ("attr filter", "{{ xs|attr('q') is defined }} {{ d|attr('b') is defined }}"),
    # tests
    ("defined",
     "{{ i is defined }} {{ missing is defined }} {{ missing is not defined }} "
     "{{ d.q is undefined }} {{ d.b is defined }} {{ not missing is defined }}"),
    ("types",
     "{% for v in [none, true, 1, 1.5, 'a', [1], (1,), {'a': 1}, range(1)] %}{{ v is none }}"
     ",{{ v is string }},{{ v is number }},{{ v is integer }},{{ v is float }}"
     ",{{ v is boolean }},{{ v is mapping }},{{ v is iterable }},{{ v is sequence }}"
     ",{{ v is true }},{{ v is false }},{{ v is callable }}\n{% endfor %}"),
    ("types of undefined",
     "{{ missing is string }} {{ missing is none }} {{ missing is iterable }} "
     "{{ missing is sequence }} {{ missing is mapping }} {{ missing is number }}"),
    ("types of others",
     "{{ d.keys() is sequence }} {{ d.keys() is iterable }} {{ range is callable }} "
     "{{ namespace() is mapping }} {{ xs|map('string') is sequence }} "
     "{{ xs|map('string') is iterable }}"),
    ("comparing tests",
     "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} "
     "{{ 2 is ge(2) }} {{ 3 is gt 2 }} {{ 'a' is in 'abc' }} {{ 5 is in [1] }} "
     "{{ 1 is le 0 }}"),
    ("number tests",
     "{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} "
     "{{ none is sameas none }}"),
    ("case tests",
     "{{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'Ab' is lower }} {{ '1' is upper }}"),
    ("tests combine",
     "{{ i is number and s is string }} {{ i is string or i is number }} "
     "{{ 'x' if n is none else 'y' }} {{ xs is iterable and xs is not string }}"),
    # undefined
    ("undefined prints",
     "[{{ missing }}][{{ missing ~ 'a' }}][{{ missing == missing }}][{{ missing == none }}"
     "][{{ not missing }}]"),
    # templates of models
    ("chatml", CHATML),
    ("chatml without system", CHATML, {"messages": CHAT[1:2]}),
    ("chatml without prompt", CHATML, {"add_generation_prompt": False}),
    ("reasoner", REASONER),
    ("reasoner with tools", REASONER, {"messages": TOOL_CHAT}),
    ("reasoner without a system", REASONER,
     {"messages": CHAT[1:3], "add_generation_prompt": False}),
    ("tool prompt", TOOL_PROMPT, {"tools": TOOLS}),
    ("tool prompt, text parts", TOOL_PROMPT, {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"},
                                     {"type": "text", "text": "b"}]}]}),
    ("strftime", "{{ strftime_now('%%') }}{{ strftime_now('%Y')|length }}"),
    # what must fail
    ("tool prompt, roles do not alternate", TOOL_PROMPT, {"messages": CHAT[1:2] * 2}),
    ("raise", "a{{ raise_exception('no') }}"),
    ("attribute of undefined", "{{ missing.x }}"),
    ("item of undefined", "{{ missing['x'] }}"),
    ("attribute of undefined is defined", "{{ missing.x is defined }}"),
    ("attribute of undefined defaults", "{{ missing.x.y|default('z') }}"),
    ("undefined added", "{{ missing + 'a' }}"),
    ("undefined in arithmetic", "{{ 1 * missing }}"),
    ("undefined called", "{{ missing() }}"),
    ("undefined ordered", "{{ missing < 1 }}"),
    ("undefined as JSON", "{{ missing|tojson }}"),
    ("undefined as int", "{{ missing|int }}"),
    ("unknown filter", "{{ 1|nonesuch }}"),
    ("unknown test", "{{ 1 is nonesuch }}"),
    ("unknown tag", "{% nonesuch %}"),
    ("do is not a tag", "{% do 1 %}"),
    ("unclosed if", "{% if true %}a"),
    ("unclosed for", "{% for x in xs %}a{% endif %}"),
    ("unclosed print", "{{ 1"),
    ("unclosed block", "{% if true"),
    ("unclosed comment", "a {# b"),
    ("unclosed raw", "{% raw %} a"),
    ("unclosed string", "{{ 'a }}"),
    ("empty print", "{{ }}"),
    ("stray else", "{% else %}"),
    ("stray endif", "a{% endif %}"),
    ("bad brackets", "{{ (1] }}"),
    ("open bracket", "{{ (1 }}"),
    ("close bracket", "{{ 1) }}"),
    ("bad character", "{{ 1 ? 2 }}"),
    ("two values", "{{ 1 2 }}"),
    ("text plus number", "{{ 'a' + 1 }}"),
    ("concat binds tighter than plus", "{{ 'a' ~ 1 + 2 }}"),
    ("none plus text", "{{ none + 'a' }}"),
    ("text in none", "{{ 'a' in none }}"),
    ("number in text", "{{ 1 in 'a' }}"),
    ("mixed order", "{{ 1 < 'a' }}"),
    ("division by zero", "{{ 1 / 0 }}"),
    ("modulo by zero", "{{ 1 % 0 }}"),
    ("for over a number", "{% for x in 5 %}{% endfor %}"),
    ("for over none", "{% for x in none %}{% endfor %}"),
    ("unpack too few", "{% for a, b in [[1]] %}{% endfor %}"),
    ("unpack too many", "{% set a, b = [1, 2, 3] %}"),
    ("set of a literal", "{% set 1 = 2 %}"),
    ("set of an attribute of a dict", "{% set d.x = 2 %}"),
    ("set of none", "{% set none = 2 %}"),
    ("append is not allowed", "{{ xs.append(1) }}"),
    ("update is not allowed", "{{ d.update({'a': 1}) }}"),
    ("dunder", "{{ xs.__class__.__name__ }}"),
    ("private namespace attribute", "{{ namespace(_x=1) }}"),
    ("break outside", "{% break %}"),
    ("continue in a macro in a loop",
     "{% for x in xs %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}"),
    ("too many arguments", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"),
    ("unknown argument", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}"),
    ("argument twice", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}"),
    ("default before none", "{% macro m(a=1, b) %}{% endmacro %}"),
    ("text is not callable", "{{ s() }}"),
    ("unhashable key", "{{ {[1]: 2} }}"),
    ("format without an argument", "{{ '{}{}'.format(1) }}"),
    ("format of a name", "{{ '{a}'.format(1) }}"),
    ("format with one brace", "{{ '{'.format(1) }}"),
    ("format with a closing brace", "{{ '}'.format(1) }}"),
    ("rindex of nothing", "{{ s.rindex('q') }}"),
    ("empty separator", "{{ 'a'.split('') }}"),
    ("join of numbers", "{{ ','.join([1]) }}"),
    ("huge range", "{{ range(100001)|length }}"),
    ("slice of a number", "{{ i[1:] }}"),
    ("slice by text", "{{ xs['a':] }}"),
    ("zero step", "{{ xs[::0] }}"),
    ("last of a generator", "{{ xs|map('string')|last }}"),
    ("length of a number", "{{ 5|length }}"),
    ("length of a generator", "{{ xs|select|length }}"),
    ("mixed sort", "{{ [1, 'a']|sort }}"),
    ("macro recursion without end", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    ("include", "{% include 'x' %}"),
    ("extends", "{% extends 'x' %}"),
    ("chained is", "{{ 1 is number is string }}"),
    ("bad escape", "{{ '\\xg1' }}"),
]


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[jinja2.ext.loopcontrols, Generation])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(form):
        return datetime.datetime.now().strftime(form)

    class Namespace(jinja2.utils.Namespace):
        def __init__(*args, **kwargs):
            self, attrs = args[0], dict(*args[1:], **kwargs)
            if any(str(name).startswith("_") for name in attrs):
                raise jinja2.exceptions.SecurityError("underscore")
            jinja2.utils.Namespace.__init__(self, attrs)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=strftime_now, dict=dict,
                       namespace=Namespace)
    return env


class Generation(jinja2.ext.Extension):
    """The tag that marks what the assistant said; it renders its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def distill(env):
    data = (ROOT / "../shared/data/r1-distill-qwen-7b.gguf-head").read_bytes()
    key = b"tokenizer.chat_template"
    at = data.index(key) + len(key)
    kind, size = struct.unpack_from("<IQ", data, at)
    assert kind == 8, "the template is not a string"
    template = env.from_string(data[at + 12:at + 12 + size].decode())
    contexts = [{"messages": messages, "add_generation_prompt": prompt, "bos_token": "<s>"}
                for messages in (CHAT, CHAT[1:2], TOOL_CHAT) for prompt in (True, False)]
    return [{"context": c, "output": template.render(**c)} for c in contexts]


def main():
    env = environment()
    out = []
    for name, template, *more in CASES:
        changes = more[0] if more else {}
        case = {"name": name, "template": template}
        if changes:
            case["changes"] = changes
        try:
            case["output"] = env.from_string(template).render(**{**CTX, **changes})
        except Exception:
            case["fails"] = True
        out.append(case)
    path = ROOT / "tests/golden/jinja.json"
    path.write_text(json.dumps({"jinja2": jinja2.__version__, "context": CTX, "cases": out,
                                "distill": distill(env)},
                               ensure_ascii=True, indent=1) + "\n")
    failing = [c["name"] for c in out if "fails" in c]
    print(f"{len(out)} cases, {len(failing)} of which fail: {', '.join(failing)}")


if __name__ == "__main__":
    main()
