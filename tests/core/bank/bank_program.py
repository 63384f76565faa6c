"""Fills a bank from the command line, for tests that kill it: `bank_program.py FOLDER LOG SECONDS PER_CLASS`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toys import ToyGenerator, picture

from gtimm.core.bank import Bank
from gtimm.core.pool import Request
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.prompts.label import LabelPrompts

CLASSES = ["cat", "dog", "owl"]


def requests(per_class: int) -> list[Request]:
    return plan_requests(LabelPrompts(), CLASSES, "image", per_class, 1.0, 0)[0]


class Slow(ToyGenerator):
    """Takes its time, and writes down what it makes."""

    made: str
    seconds: float = 0.0

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        def make(batch: Sequence[Request]) -> list[Any]:
            time.sleep(self.seconds)
            with Path(self.made).open("a") as file:
                file.write("".join(f"{request.seed}\n" for request in batch))
            return [picture(request) for request in batch]

        return make


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    generator = Slow(made=sys.argv[2], seconds=float(sys.argv[3]))
    bank = Bank(Path(sys.argv[1]))
    print("ready", flush=True)
    bank.make(generator, bank.plan(generator, requests(int(sys.argv[4]))), LocalEngine(), "cpu", True)
