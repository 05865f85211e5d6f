"""The parsers of plans and requests, a bounded number of mutated inputs under the sanitizers."""

from __future__ import annotations

import subprocess

import pytest
from wshd_fixtures import built


@pytest.mark.parametrize("name", ["wshd-fuzz-plan", "wshd-fuzz-request"])
def test_parser_survives(name: str) -> None:
    done = subprocess.run([str(built(name)), "100000"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "100000 inputs\n"), done.stderr
