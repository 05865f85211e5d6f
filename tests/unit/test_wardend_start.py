"""What the daemon's program does before anything else."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from warden.cli import wardend
wardend._leave_out_openssl()
import asyncio, hashlib, random, tempfile, warden.server.config
print(hashlib.sha256(b"").hexdigest()[:8], "_ssl" in sys.modules and sys.modules["_ssl"], bool(sys.modules["_hashlib"]))
"""


@pytest.mark.parametrize(
    ("lacking", "has_openssl"),
    [((), False), (("_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3"), True), (("_sha3",), True)],
    ids=["usual", "only-blake2", "without-sha3"],
)
def test_openssl_stays_where_python_has_no_hashes_of_its_own(lacking: tuple[str, ...], has_openssl: bool) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *lacking], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == (f"e3b0c442 None {has_openssl}\n", "")
