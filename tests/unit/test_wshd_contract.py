"""native/ and warden.plan.steps must agree on the operations, and docs/plan-format.md must list them all."""

from __future__ import annotations

import re
from pathlib import Path

from warden.plan.steps import BIND_IDMAP, BIND_IN_ROOT, BIND_RECURSIVE, PLAN_MAGIC, RUN_MUST_SUCCEED, Op

ROOT = Path(__file__).resolve().parents[2]
WIRE = (ROOT / "native/wire.h").read_text()
ROW = re.compile(r'X\((\d+), ([A-Z_]+), ([a-z_]+), "([tnb]*)", ([A-Z_]+)\)')


def rows() -> dict[str, tuple[int, str, str]]:
    return {name: (int(number), function, kinds) for number, name, function, kinds, _ in ROW.findall(WIRE)}


def declared_arity(op: Op) -> int:
    """The number of operands in the comment beside the member in steps.py."""
    source = (ROOT / "src/warden/plan/steps.py").read_text()
    match = re.search(rf"^    {op.name} = {op.value}(?:  # (.*))?$", source, re.M)
    assert match, op
    return len(match[1].split(",")) if match[1] else 0


def test_every_operation_has_the_same_number_on_both_sides() -> None:
    assert {name: number for name, (number, _, _) in rows().items()} == {op.name: op.value for op in Op}


def test_every_operation_takes_as_many_operands_on_both_sides() -> None:
    found = rows()
    assert {op.name: len(found[op.name][2]) for op in Op} == {op.name: declared_arity(op) for op in Op}


def test_numbers_have_no_holes_so_that_the_tables_are_full() -> None:
    assert sorted(number for number, _, _ in rows().values()) == list(range(1, len(Op) + 1))


def test_every_function_of_the_table_is_named_after_its_step_or_handles_it() -> None:
    source = "".join(path.read_text() for path in sorted((ROOT / "native").glob("*.c")))
    for name, (_, function, _) in rows().items():
        assert f"int step_{function}(const struct step *step) {{" in source, name
        assert function in (name.lower(), "write_map", "setns") or f"case OP_{name}:" in source, name


def test_constants_agree() -> None:
    assert f'#define PLAN_MAGIC "{PLAN_MAGIC.decode()}"' in WIRE
    assert f"#define BIND_RECURSIVE {BIND_RECURSIVE}u" in WIRE
    assert f"#define BIND_IDMAP {BIND_IDMAP}u" in WIRE
    assert f"#define BIND_IN_ROOT {BIND_IN_ROOT}u" in WIRE
    assert f"#define RUN_MUST_SUCCEED {RUN_MUST_SUCCEED}u" in WIRE


def test_the_format_page_describes_every_operation() -> None:
    page = (ROOT / "docs/plan-format.md").read_text()
    first_cells = {name for cell in re.findall(r"^\| ([a-z_, ]+) \|", page, re.M) for name in cell.split(", ")}
    assert {op.name.lower() for op in Op} <= first_cells


def test_wshd_stays_small_enough_to_be_read() -> None:
    """docs/architecture.md, "Events and hooks"."""
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "native").glob("*.[ch]"))
    assert lines <= 1800
