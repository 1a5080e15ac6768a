#!/usr/bin/env python3
"""Render chat templates with transformers' Jinja and with `r1 chat-template`, and compare.

Usage: tools/compare_templates.py R1 PATH...
PATH is a template, or a folder that is searched for *.jinja.  Each is rendered for a set of
conversations, with and without tools and a generation prompt.  A pair of renderings agrees when the
texts are the same or both fail.  Prints every difference and a count; exits 1 if there is one.
Needs transformers and jinja2.
"""
import datetime
import difflib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

DAY = datetime.datetime(2025, 3, 1)


def user(text, **more):
    return dict(role="user", content=text, **more)


def assistant(text, **more):
    return dict(role="assistant", content=text, **more)


def call(name, arguments, ident="call00001"):
    return {"type": "function", "id": ident, "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "Be brief, \"please\" & <b>well</b>."}
HARD = ("  \u00e9\u00df \u4f60\u597d \U0001f600 <|im_end|> {{ x }} {% y %} 'q' \"Q\" \\n\n\n\ttab "
        "\x7f\u2028 \u00a0 ")
THOUGHT = "<think>\nfirst\n</think>\n\nThe answer is 4."
RESULT = {"role": "tool", "content": "{\"sum\": 4, \"unit\": null}", "name": "add",
          "tool_call_id": "call00001"}
ADD = {"type": "function", "function": {
    "name": "add", "description": "Adds <two> numbers & \"more\".",
    "parameters": {"type": "object", "required": ["a", "b"], "properties": {
        "a": {"type": "integer", "description": "the first, \u00e9"},
        "b": {"type": ["number", "null"], "default": 1.5, "enum": [1, 2.5, None, True]}}}}}
FIND = {"type": "function", "function": {
    "name": "find", "description": "", "strict": True, "return": {"type": "string"},
    "parameters": {"type": "object", "properties": {
        "where": {"type": "object", "description": "d", "properties": {
            "x": {"type": "array", "items": {"type": "string"}}}},
        "kind": {"type": "string", "enum": ["a", "b"], "maxLength": 3}}, "required": []}}}
NONE = {"type": "function", "function": {"name": "now", "description": "The time.",
                                         "parameters": {"type": "object", "properties": {}}}}
PARTS = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
ARGS = {"a": 2, "b": "two \u00e9 'q'", "c": [1, {"d": None}], "e": True, "f": 1.0, "g": ""}

CHATS = {
    "plain": [user("2+2?")],
    "system": [SYSTEM, user("2+2?")],
    "developer": [dict(SYSTEM, role="developer"), user("2+2?")],
    "turns": [SYSTEM, user("2+2?"), assistant("4"), user("And 3?"), assistant(" 6 \n"), user("ok")],
    "ends": [user("2+2?"), assistant("4")],
    "hard": [user(HARD), assistant(HARD), user(HARD)],
    "empty": [dict(SYSTEM, content=""), user(""), assistant(""), user(" ")],
    "only system": [SYSTEM],
    "two systems": [SYSTEM, user("a"), assistant("b"), SYSTEM, user("c")],
    "twice user": [user("a"), user("b")],
    "first assistant": [assistant("a"), user("b")],
    "think": [user("2+2?"), assistant(THOUGHT), user("sure?"), assistant(THOUGHT)],
    "reasoning": [user("2+2?"), assistant("4", reasoning_content="hm\n", thinking="hm"), user("?")],
    "reasoning ends": [user("2+2?"), assistant("4", reasoning_content="hm", reasoning="hm")],
    "parts": [user(PARTS), assistant(PARTS), user(PARTS)],
    "image": [user([{"type": "image"}, {"type": "text", "text": "what?"}])],
    "call": [user("2+2?"), assistant("", tool_calls=[call("add", ARGS)]), RESULT],
    "call text": [SYSTEM, user("2+2?"), assistant("I add.", tool_calls=[
        call("add", "{\"a\": 2}")]), RESULT, assistant("4"), user("ok")],
    "call none": [user("2+2?"), assistant(None, tool_calls=[call("add", ARGS)]), RESULT],
    "call string": [user("2+2?"), {"role": "assistant", "tool_calls": [call("add", "{\"a\": 2}")]},
                    RESULT, assistant("4")],
    "two calls": [user("2+2?"), assistant("", tool_calls=[
        call("add", ARGS), call("find", {}, "call00002")]), RESULT,
        dict(RESULT, name="find", tool_call_id="call00002", content="none"), assistant("4")],
    "call think": [user("2+2?"), assistant(THOUGHT, reasoning_content="so",
                                           tool_calls=[call("add", ARGS)]),
                   RESULT, assistant("4", reasoning_content="then"), user("ok")],
    "strange role": [user("a"), {"role": "wizard", "content": "b"}],
    "no content": [user("a"), {"role": "assistant"}, user("b")],
}
EXTRA = {
    "": {},
    "thinks": {"enable_thinking": True, "thinking": True, "thinking_mode": "on",
               "reasoning_effort": "high", "tools_in_user_message": False},
    "thinks not": {"enable_thinking": False, "thinking": False, "keep_past_thinking": True,
                   "custom_tools": None, "documents": [{"title": "T", "text": "x\ny"}]},
}


def variables():
    for name, messages in CHATS.items():
        for tools in (None, [ADD, FIND, NONE]):
            for prompt in (True, False):
                for extra, more in EXTRA.items():
                    label = f"{name}, tools {bool(tools)}, prompt {prompt}, {extra or 'usual'}"
                    yield label, messages, tools, prompt, more


def by_jinja(text, messages, tools, prompt, more):
    try:
        compiled = _compile_jinja_template(text)
        compiled.environment.globals["strftime_now"] = DAY.strftime
        values = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "documents": None,
                  "tools": tools, **more}
        return compiled.render(messages=messages, add_generation_prompt=prompt, **values), ""
    except Exception as e:  # whatever a template of others makes it do
        return None, f"{type(e).__name__}: {e}"


def by_r1(program, model, messages, tools, prompt, more):
    command = [program, "chat-template", model, "-m", "-", "--date", DAY.strftime("%Y-%m-%d")]
    if not prompt:
        command.append("--no-generation-prompt")
    values = dict(more, messages=messages, **({"tools": tools} if tools else {}))
    r = subprocess.run(command, input=json.dumps(values).encode(), capture_output=True)
    text = r.stdout.decode() if r.returncode == 0 else None
    return text, r.stderr.decode().strip()


def model_with(template, folder):
    """A model of a few tokens that has this template."""
    names = ["<s>", "</s>", "<pad>"]
    tokenizer = {"added_tokens": [{"id": i, "content": s, "special": True}
                                  for i, s in enumerate(names)],
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
                 "model": {"type": "BPE", "vocab": {s: i for i, s in enumerate(names)},
                           "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}))
    (folder / "chat_template.jinja").write_bytes(template)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    paths = []
    for word in map(Path, sys.argv[2:]):
        paths += sorted(word.glob("**/*.jinja")) if word.is_dir() else [word]
    total = differ = failed = 0
    for path in paths:
        template, here = path.read_bytes(), 0
        with tempfile.TemporaryDirectory() as folder:
            model_with(template, Path(folder))
            for label, messages, tools, prompt, more in variables():
                want, why = by_jinja(template.decode(), messages, tools, prompt, more)
                got, said = by_r1(sys.argv[1], folder, messages, tools, prompt, more)
                total += 1
                failed += want is None
                if want == got:
                    continue
                here += 1
                if here > 3:
                    continue
                print(f"--- {path.name}: {label}\n  jinja2: {why}\n  r1: {said}")
                if want is not None and got is not None:
                    rows = difflib.unified_diff(want.splitlines(True), got.splitlines(True), n=0)
                    print("  " + "  ".join(repr(row) + "\n" for row in list(rows)[2:8]), end="")
        differ += here
        if here > 3:
            print(f"--- {path.name}: {here} differences")
    print(f"{len(paths)} templates, {total} renderings, {failed} of which fail: {differ} differ")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
