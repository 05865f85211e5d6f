"""`warden doctor`: the report and its exit code. What is probed is warden.kernel's subject."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from warden.cli.main import main


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """What the machine is found to be; the depot that was asked about is the last element's detail."""
    found: list[SimpleNamespace] = []
    module = ModuleType("warden.kernel.features")
    module.probe = lambda depot: [*found, finding("depot", True, depot)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "warden.kernel.features", module)
    monkeypatch.setenv("WARDEN_SOCKET", "/nonexistent/warden.sock")
    return found


def finding(name: str, ok: bool | None, detail: str = "", remedy: str = "") -> SimpleNamespace:
    return SimpleNamespace(name=name, ok=ok, detail=detail, remedy=remedy)


def test_signs_columns_and_remedies(findings: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]) -> None:
    findings += [
        finding("overlay", False, "no", "modprobe overlay"),
        finding("net", None),
        finding("x", True, "", "not shown"),
    ]
    assert main(["doctor", "--depot", "/d"]) == 1
    assert capsys.readouterr().out == ("✗ overlay  no\n           → modprobe overlay\n? net\n✓ x\n✓ depot    /d\n")


@pytest.mark.parametrize(
    ("name", "ok", "code"),
    [
        ("overlay", True, 0),
        ("overlay", None, 0),
        ("overlay", False, 1),
        ("pid namespace", False, 1),
        ("disk limit: pool", False, 0),
        ("CAP_SYS_RESOURCE", False, 0),
    ],
)
def test_only_what_is_needed_makes_it_fail(
    findings: list[SimpleNamespace], capsys: pytest.CaptureFixture[str], name: str, ok: bool | None, code: int
) -> None:
    findings.append(finding(name, ok))
    assert main(["doctor", "--json"]) == code
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["name"], first["ok"]) == (name, ok)


def test_what_is_optional_says_so(findings: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]) -> None:
    findings.append(finding("disk limit: pool", False, "no mkfs.xfs"))
    assert main(["doctor"]) == 0
    assert "✗ disk limit: pool  (optional) no mkfs.xfs\n" in capsys.readouterr().out
