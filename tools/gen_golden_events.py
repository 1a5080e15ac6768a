#!/usr/bin/env python3
"""Write tests/golden/events.h: event records as TensorBoard's own classes write them.

Usage: python3 tools/gen_golden_events.py > tests/golden/events.h      (needs tensorboard)
"""
import io

import tensorboard
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

VALUES = [("reward", .25), ("completions/mean_length", 131.5), ("kl", -1e-3)]


def summary(values):
    return Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values])


def main():
    out = io.BytesIO()
    writer = RecordWriter(out)
    for event in (
            Event(wall_time=1700000000.5, file_version="brain.Event:2"),
            Event(wall_time=1700000001.25, step=12,
                  session_log=SessionLog(status=SessionLog.START)),
            Event(wall_time=1700000002, step=12, summary=summary(VALUES)),
            Event(wall_time=1700000003, step=300, summary=summary([]))):
        writer.write(event.SerializeToString())
    data = out.getvalue()
    print(f"/* Made by tools/gen_golden_events.py with tensorboard {tensorboard.__version__}. */")
    print("/* clang-format off */")
    print("static const uint8_t golden_events[] = {")
    for i in range(0, len(data), 16):
        print("    " + ", ".join(f"0x{b:02x}" for b in data[i:i + 16]) + ",")
    print("};")


if __name__ == "__main__":
    main()
