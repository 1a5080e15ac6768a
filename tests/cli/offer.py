"""offer.py: run a command at a pseudo terminal, answer its one question, print what it wrote.

Usage: offer.py ANSWER COMMAND...; exits as the command does.
"""
import os
import pty
import sys

answer = sys.argv[1].encode() + b"\n"
text = b""
asked = False


def read(fd):
    global text, asked
    piece = os.read(fd, 65536)
    text += piece
    if not asked and b"[y/N] " in text:
        asked = True
        os.write(fd, answer)
    return piece


with open(os.devnull) as nothing:
    os.dup2(nothing.fileno(), 0)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[2:], read)))
