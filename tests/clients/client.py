"""What the official Python client makes of the server at argv[1], with the model argv[2]."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="secret", max_retries=0)
model, messages = sys.argv[2], [{"role": "user", "content": "hello"}]
fixed = dict(model=model, messages=messages, temperature=0, max_tokens=12)

assert model in [m.id for m in client.models.list()]
assert client.models.retrieve(model).id == model

whole = client.chat.completions.create(**fixed)
assert whole.choices[0].message.role == "assistant"
assert whole.usage.completion_tokens <= 12
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
assert whole.usage.completion_tokens_details.reasoning_tokens >= 0
assert whole.usage.prompt_tokens_details.cached_tokens >= 0

text, thought, usage = "", "", None
for piece in client.chat.completions.create(
    **fixed, stream=True, stream_options={"include_usage": True}
):
    usage = piece.usage or usage
    for choice in piece.choices:
        text += choice.delta.content or ""
        thought += getattr(choice.delta, "reasoning_content", None) or ""
assert text == whole.choices[0].message.content, (text, whole)
assert thought == (getattr(whole.choices[0].message, "reasoning_content", None) or "")
assert usage.completion_tokens == whole.usage.completion_tokens

many = client.chat.completions.create(
    **{**fixed, "temperature": 1}, n=3, seed=5, logprobs=True, top_logprobs=2
)
assert [c.index for c in many.choices] == [0, 1, 2]

old = client.completions.create(model=model, prompt="abc", max_tokens=4, temperature=0)
assert old.object == "text_completion" and len(old.choices) == 1
old = client.completions.create(model=model, prompt=["a", "b"], max_tokens=2, temperature=0)
assert len(old.choices) == 2
pieces = [
    c.choices[0].text
    for c in client.completions.create(model=model, prompt="abc", max_tokens=4, stream=True)
]
assert pieces

vectors = client.embeddings.create(model=model, input=["one", "two"]).data  # base64 on the wire
assert len(vectors) == 2 and abs(sum(x * x for x in vectors[0].embedding) - 1) < 1e-3

for kind, call in (
    (openai.NotFoundError, lambda: client.chat.completions.create(**{**fixed, "model": "nobody"})),
    (
        openai.BadRequestError,
        lambda: client.chat.completions.create(**{**fixed, "temperature": -1}),
    ),
    (
        openai.AuthenticationError,
        lambda: openai.OpenAI(
            base_url=sys.argv[1] + "/v1", api_key="wrong", max_retries=0
        ).models.list(),
    ),
):
    try:
        call()
    except kind as e:
        assert e.body["message"] and e.type
    else:
        raise AssertionError(f"no {kind.__name__}")
print("python: all as expected")
