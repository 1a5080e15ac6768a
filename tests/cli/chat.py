"""chat.py: talks with `r1 run` through a pseudo terminal, for tests/cli/chat.sh.

Usage: chat.py R1 MODEL FOLDER.  MODEL's template ends within <think>.  Exits 1 and says what was
expected when the program does something else.
"""
import json
import os
import pty
import re
import select
import signal
import sys
import time

R1, MODEL, FOLDER = sys.argv[1:]
LIMIT = 120  # seconds for anything, where the machine is busy
UP = b"\x1b[A"


class Terminal:
    """The program at a terminal of its own; `text`: what it has written since `expect`."""

    def __init__(self, *args):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(R1, [R1, "run", MODEL, "--greedy", *args])

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += piece
        return bool(piece)

    def expect(self, pattern):
        """Wait for a regular expression; what came up to its end is taken away and returned."""
        end = time.monotonic() + LIMIT
        while not (m := re.search(pattern, self.text, re.S)):
            if not self.read(0.5) or time.monotonic() > end:
                sys.exit(f"no match for {pattern!r} in {self.text[-2000:]!r}")
        taken, self.text = self.text[:m.end()], self.text[m.end():]
        return taken

    def send(self, data):
        os.write(self.fd, data)

    def line(self, text):
        self.send(text + b"\r")

    def leave(self):
        self.send(b"\x04")
        end = time.monotonic() + LIMIT
        while self.read(0.5) and time.monotonic() < end:
            pass
        _, status = os.waitpid(self.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"exit status {status}: {self.text[-1000:]!r}")
        os.close(self.fd)


def check(what, value):
    if not value:
        sys.exit(f"not so: {what}")


def saved(name):
    with open(os.path.join(FOLDER, name)) as f:
        return json.load(f)


PROMPT = rb"\n?> (?:\x1b\[\?2004h)?"
t = Terminal("-n", "12")
t.expect(rb"/help lists the commands.*> ")

# Thinking is dim, and said to be cut where it is.
t.line(b"12 34")
reply = t.expect(rb"\[ended after 12 tokens\].*> ")
check("dim thinking", b"\x1b[2m" in reply)
t.line(b"/fold on")
t.expect(rb"folded thinking: on.*> ")
t.line(b"5")
reply = t.expect(rb"\[ended after 12 tokens\].*> ")
check("a folded line", re.search(rb"\[thought for [0-9.]+ s, 12 tokens\]", reply))
t.line(b"/show")
check("unfolded", b"\x1b[2m" in t.expect(rb"\x1b\[0m.*> "))

# Without thinking the answer is not dim, and a message of the conversation.
t.line(b"/reset")
t.expect(rb"A new conversation\..*> ")
t.line(b"/think off")
t.expect(rb"thinking: off.*> ")
t.line(b"/think perhaps")
t.expect(rb"neither on nor off.*> ")
t.line(b"1 2 3")
reply = t.expect(rb"\[ended after 12 tokens\].*> ")
check("no thinking", b"\x1b[2m" not in reply and b"[thought" not in reply)
t.line(b"/show")
t.expect(rb"no thinking.*> ")
t.line(b"/save " + FOLDER.encode() + b"/a.json")
t.expect(rb"Saved 2 messages.*> ")
first = saved("a.json")
check("a question and an answer", [m["role"] for m in first["messages"]] == ["user", "assistant"])
check("the question", first["messages"][0]["content"] == "1 2 3")
check("the answer", first["messages"][1]["content"])
t.line(b"/again")
t.expect(rb"\[ended after 12 tokens\].*> ")
t.line(b"/save " + FOLDER.encode() + b"/b.json")
t.expect(rb"Saved 2 messages.*> ")
check("greedy is the same again", saved("b.json") == first)

# A system message, a conversation that is loaded, files that are none.
t.line(b"/system Be brief.")
t.expect(rb"with this system message.*> ")
t.line(b"/system")
t.expect(rb"Be brief\..*> ")
t.line(b"/load " + FOLDER.encode() + b"/a.json")
t.expect(rb"Loaded 2 messages.*> ")
t.line(b"/system")
t.expect(rb"There is no system message.*> ")
with open(os.path.join(FOLDER, "bad.json"), "w") as f:
    f.write('{"messages": [{"role": "admin", "content": "x"}]}')
t.line(b"/load " + FOLDER.encode() + b"/bad.json")
t.expect(rb"message 1 is not.*> ")
t.line(b"/load " + FOLDER.encode() + b"/none.json")
t.expect(rb"none.json: cannot open.*> ")
t.line(b"/save /dev/full")
t.expect(rb"/dev/full.*No space.*> ")
t.line(b"/save")
t.expect(rb"needs a file.*> ")
t.line(b"/nonsense")
t.expect(rb"/nonsense is no command.*> ")
t.line(b"/help")
t.expect(rb"/think +on\|off.*/load +FILE.*Ctrl-C.*> ")

# Pasted text is one message, also when a line of it looks like a command or an end.
t.line(b"/reset")
t.expect(rb"A new conversation\..*> ")
t.send(b"\x1b[200~1 2\n3 4\n/quit\n5\x1b[201~")
t.line(b"")
t.expect(rb"\[ended after 12 tokens\].*> ")
t.line(b"/save " + FOLDER.encode() + b"/paste.json")
t.expect(rb"Saved 2 messages.*> ")
check("pasted lines", saved("paste.json")["messages"][0]["content"] == "1 2\n3 4\n/quit\n5")
t.line(b"7 \\")
t.expect(rb"\. ")
t.line(b"8")
t.expect(rb"\[ended after 12 tokens\].*> ")
t.line(b"/save " + FOLDER.encode() + b"/two.json")
t.expect(rb"Saved 4 messages.*> ")
check("a line that goes on", saved("two.json")["messages"][2]["content"] == "7 \n8")

# Ctrl-C clears the line.
t.send(b"half a line")
t.expect(rb"half a line")
t.send(b"\x03")
t.expect(rb"> ")
t.line(b"/save " + FOLDER.encode() + b"/three.json")
t.expect(rb"Saved 4 messages.*> ")
t.leave()

# The history is there in the next conversation, pasted lines as one.
history = os.path.join(os.environ["R1_HOME"], "history")
check("a private history", os.stat(history).st_mode & 0o077 == 0)
t = Terminal("-n", "12", "--no-think")
t.expect(rb"/help lists.*> ")
t.send(UP * 5)
t.expect(rb"/quit")
t.line(b"")
t.expect(rb"\[ended after 12 tokens\].*> ")
t.line(b"/save " + FOLDER.encode() + b"/recalled.json")
t.expect(rb"Saved 2 messages.*> ")
check("recalled lines", saved("recalled.json")["messages"][0]["content"] == "1 2\n3 4\n/quit\n5")
t.leave()

# Ctrl-C stops a reply, of which what has come stays; and the program goes on.
t = Terminal("--no-history", "--no-think")
t.expect(rb"/help lists.*> ")
t.line(b"9 9")
t.expect(rb"9 9\r\n.*[0-9a-z]")
t.send(b"\x03")
stopped = t.expect(rb"(\[stopped\]|\[ended after [0-9]+ tokens.*\]|\n).*> ")
t.line(b"/help")
t.expect(rb"/think.*> ")
t.leave()
print("all as expected")
