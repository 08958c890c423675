# SPDX-License-Identifier: MIT
"""A program of ours that has a name on a private bus, answers as a test wants, and writes down what
it was asked for. Its module says by SCRIPT what is run, with the bus' address, an answer and the
file to write to."""

import os
import subprocess

from lib.process import CLEAN_ENVIRONMENT, eventually


class BusPeer:
    NAME = SCRIPT = None

    def __init__(self, directory, bus, answer):
        self.log_path, self.bus, self.answer = directory / f"{self.NAME}.log", bus, str(answer)

    def __enter__(self):
        self.log_path.write_text("")
        self.process = subprocess.Popen(
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", self.SCRIPT,
             self.bus.address, self.answer, self.log_path],
            env={**CLEAN_ENVIRONMENT, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))})
        eventually(lambda: self.NAME in self.bus.names(), what=self.NAME)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @property
    def asked(self):
        """Lines, in their order."""
        return self.log_path.read_text().splitlines()
