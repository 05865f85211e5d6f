"""Files as they were written before LXC 2.1: lxc-update-config says the same in today's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from warden.lxc.reading import load
from warden.lxc.tools.update_config import main
from warden.lxc.translate import Circumstances, translate

FILES = sorted((Path(__file__).parent / "legacy").glob("*.conf"))
#: What began with these keys before 2.1.
OLD = (
    r"lxc\.(utsname|rootfs|mount|tty|pts|console|devttydir|network\S*|id_map|aa_\w+|se_context|seccomp|loglevel|logfile"
    r"|syslog|haltsignal|stopsignal|rebootsignal|init_\w+|limit\.\w+|kmsg|pivotdir|rootfs\.backend)"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_old_file_says_the_same_in_todays_words(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(path.read_bytes())
    assert main(["-c", str(file)]) == 0
    assert (tmp_path / "config.backup").read_bytes() == path.read_bytes()
    for line in file.read_bytes().decode().splitlines():
        assert not re.match(rf"\s*{OLD}\s*=", line), line
    around = Circumstances(environ={"TERM": "vt100"})
    before, after = (translate(load(str(name)), "box", around) for name in (path, file))
    assert after.spec == before.spec
    assert after.missing == before.missing
    assert main(["-c", str(file)]) == 0
    assert (tmp_path / "config.backup").read_bytes() == path.read_bytes(), "there was nothing more to change"
