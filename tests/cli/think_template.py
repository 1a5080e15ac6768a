"""think_template.py: give a tokenizer_config.json a template that opens the reasoning, as R1 has.

Usage: think_template.py tokenizer_config.json
"""
import json
import sys

with open(sys.argv[1]) as f:
    config = json.load(f)
config["chat_template"] = ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                           "assistant:{% if add_generation_prompt %} <think>\n{% endif %}")
with open(sys.argv[1], "w") as f:
    json.dump(config, f)
