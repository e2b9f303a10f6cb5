"""Programs in a pseudo-terminal, and what a user does there: this module is a program that a test starts.

It forks, which a process with jax's threads should not do.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_S = 240.0


@dataclass
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code, negative for a signal.
        seconds: from the first key or signal to the end; from the start where there was none.
        text: what the terminal was sent, with its control sequences.
    """

    code: int
    seconds: float
    text: str


def at_terminal(folder: Path, *trials: dict, **environment: str) -> list[Ended]:
    """Run programs one after another in terminals of their own.

    Args:
        folder: where they run.
        trials: `words` of the program; `when` it is interrupted, in seconds after its first output, or the name of a
            file that it makes by then; `keys`, how often Ctrl-C is pressed, or else `number`, a signal; `columns`.
        environment: variables.
    """
    env = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(trials),
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Ended(**record) for record in json.loads(done.stdout)]


def _run(words: list[str], when: float | str = 0, keys: int = 0, number: int = 0, columns: int = 80) -> Ended:
    if isinstance(when, str):
        Path(when).unlink(missing_ok=True)
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execv(words[0], words)
    text, begun, sent = b"", 0.0, 0.0
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE_S:
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                text += os.read(terminal, 65536)
            except OSError:  # the program has ended
                break
        now = time.monotonic()
        begun = begun or (now if text else 0.0)
        due = Path(when).exists() if isinstance(when, str) else begun and now - begun >= when
        if due and (keys or number) and not sent:
            sent = now
            for _ in range(keys):
                os.write(terminal, b"\x03")
                time.sleep(0.1)
            if number:
                os.kill(pid, number)
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return Ended(os.waitstatus_to_exitcode(status), time.monotonic() - (sent or started), text.decode(errors="replace"))


if __name__ == "__main__":
    print(json.dumps([asdict(_run(**trial)) for trial in json.load(sys.stdin)]))
