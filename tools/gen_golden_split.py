#!/usr/bin/env python3
"""Write tests/golden/split/: the model tests/golden/model-a.gguf in parts, as gguf-py splits it.

Made with gguf 0.19.0.  Usage: tools/gen_golden_split.py
"""
from pathlib import Path

import gguf

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden"
PARTS = 3


def main():
    source = gguf.GGUFReader(GOLDEN / "model-a.gguf")
    out = GOLDEN / "split"
    out.mkdir(exist_ok=True)
    for old in out.glob("*.gguf"):
        old.unlink()
    arch = source.fields["general.architecture"].contents()
    each = -(-len(source.tensors) // PARTS)
    writer = gguf.GGUFWriter(out / "model-a.gguf", arch, split_max_tensors=each)
    for name, field in source.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        item = field.types[1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=item)
    for tensor in source.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    names = sorted(p.name for p in out.glob("*.gguf"))
    assert len(names) == PARTS, names
    print("\n".join(names))


if __name__ == "__main__":
    main()
