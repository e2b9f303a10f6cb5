"""Ctrl-C and SIGTERM: a line at once, a few seconds to end in order, then the process leaves as it is.

Python runs its handlers between two steps of the main thread, and a compilation by XLA is one step of up to a minute.
So a thread waits for the signal too: Python's handler in C writes its number to a socket. The process may leave at any
point, since every file is written beside its place and then renamed, and a lease of a process that ended is void. An
interrupted process never ends by Python's own cleaning up, in which the threads of XLA crash.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from fer_bench import console

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_S = 2.0
"""Given to the main thread to end in order."""
NOTHING_LOST = "what was stored before is untouched; repeat the command to start again."
UNAWAITED = "fer-bench-compile"
"""How names of threads begin that a process which failed does not wait for: Python would join them on leaving."""
PRINTING_S = 0.5
"""Given to a terminal or a pipe to take a line."""

_received: list[int] = []
_held: list[bool] = []
_describe: list[Callable[[], str]] = []
_leaving = threading.Lock()
_announced = threading.Event()


def describe_by(describe: Callable[[], str]) -> None:
    """Set what is called when the process leaves early: it closes displays and returns what is stored, a sentence."""
    _describe.append(describe)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """End the process within seconds of the first signal that comes within the block, at once on the second one.

    The exit code is 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM. A signal that the caller ignores
    stays ignored. Only for the main thread of a process that runs one command.
    """
    wakened, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    threading.Thread(target=_wait, args=(wakened,), name="interrupts", daemon=True).start()
    unraisable = sys.unraisablehook
    try:
        for number in heeded:
            signal.signal(number, _interrupt)
        # An interruption within a destructor or a callback of C cannot be raised; the other thread ends the process.
        sys.unraisablehook = lambda failure: None if _received else unraisable(failure)
        unblock()
        yield
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code and not _received:
            _leave_compiling(ended.code)
        raise
    finally:
        sys.unraisablehook = unraisable
        if _received:
            _leave(_received[0])
        for number in heeded:
            signal.signal(number, lambda received, _: os._exit(128 + received))


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Interrupt the main thread not within the block but at its end: a library may crash that is interrupted while it
    is loaded.
    """
    _held.append(True)
    try:
        yield
    finally:
        _held.pop()
    if _received and not _held:
        raise KeyboardInterrupt


def block() -> None:
    """Keep signals until `unblock`, while this process is replaced by another program."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def unblock() -> None:
    """Let signals come that `block` kept."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt the main thread, once: its cleaning up is not interrupted again."""
    del frame
    _received.append(number)
    if len(_received) == 1 and not _held:
        raise KeyboardInterrupt


def _wait(wakened: socket.socket) -> None:
    while (received := wakened.recv(1)) and received[0] not in SIGNALS:  # a plugin may handle others
        pass
    if not received:  # the command has ended
        return
    _print(lambda: "\nfer-bench: interrupted; this step ends. Ctrl-C again leaves at once.")
    _announced.set()
    select.select([wakened], [], [], PATIENCE_S)
    _leave(received[0])


def _leave_compiling(code: int) -> None:
    """Leave at once if a thread still compiles: it cannot be interrupted, and all is printed and stored."""
    if any(thread.name.startswith(UNAWAITED) for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _leave(number: int) -> NoReturn:
    if _leaving.acquire(blocking=False):
        _announced.wait(PRINTING_S)
        _print(lambda: f"fer-bench: {_describe[-1]() if _describe else NOTHING_LOST}")
        os._exit(128 + number)
    threading.Event().wait()  # the other thread is about to leave
    sys.exit(128 + number)


def _print(text: Callable[[], str]) -> None:
    """Print a line; what takes none, such as a pipe that nobody reads, may not keep the process."""
    printer = threading.Thread(target=lambda: console.warn(text()), daemon=True)
    printer.start()
    printer.join(PRINTING_S)
