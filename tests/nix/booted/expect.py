"""Steps, and what is expected of them: the first that is not met ends the run with what was seen."""

import contextlib
import time

from machine import Expected

START = time.monotonic()


@contextlib.contextmanager
def step(what):
    print(f"{time.monotonic() - START:6.1f}  {what}", flush=True)
    try:
        yield
    except Expected as error:
        raise Expected(f"{what}\n  expected {error}") from None


def expect(condition, what, seen=""):
    """`what` reads on after 'expected'."""
    if not condition:
        raise Expected(f"{what}\n{seen}")


def equal(found, wanted, what, seen=""):
    expect(found == wanted, what, f"  wanted: {wanted!r}\n  found:  {found!r}\n{seen}")
