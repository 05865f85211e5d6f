"""The sentences of `warden explain`: complete, in both languages, and none of them empty."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from warden.cli import explaining
from warden.cli.options import ARGUMENTS, build_parser
from warden.explain import lookup
from warden.explain.firewall import BY_ADDRESS, BY_CHAIN, BY_LINK, BY_NETWORK, BY_SET, NO_NFT, TOO_SLOW
from warden.explain.note import UNIT_NAMES, FileNote, Text, Unit
from warden.explain.process import NAMESPACE_KINDS, REASONS
from warden.explain.report import SECTIONS
from warden.explain.tables import capabilities, namespaces, process, words
from warden.kernel.proc import CAPABILITIES, CapabilitySets

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def of_note(name: str, note: FileNote) -> Iterator[tuple[str, Text]]:
    yield name, note.meaning
    if note.change is not None:
        yield f"{name}: change", note.change
    for key, about in note.keys.items():
        yield f"{name}: {key}", about.meaning


def texts() -> Iterator[tuple[str, Text]]:
    """Every sentence with a name for it."""
    for table in (lookup.V1, lookup.V2):
        for name, note in table.items():
            yield from of_note(name, note)
    for table in (namespaces.KINDS, capabilities.SETS, capabilities.CAPABILITIES, process.STATES):
        yield from table.items()
    yield from (*process.FILESYSTEMS.items(), *process.MOUNT_FLAGS.items())
    yield from ((name, text) for name, (_, text) in process.RLIMITS.items())
    yield from ((str(mode), text) for mode, text in (*process.SECCOMP_MODES.items(), *process.NO_NEW_PRIVS.items()))
    yield from ((unit.value, text) for unit, text in UNIT_NAMES.items())
    yield from ((str(number), text) for number, text in REASONS.items())
    yield from (("firewall", text) for text in (BY_ADDRESS, BY_CHAIN, BY_LINK, BY_NETWORK, BY_SET, NO_NFT, TOO_SLOW))
    for name, value in vars(words).items():
        if isinstance(value, Text):
            yield name, value
        elif name.startswith("COLUMNS"):
            yield from ((name, text) for text in value)
    yield from ((name, text) for name, pair in words.HEADINGS.items() for text in pair)


@pytest.mark.parametrize(("name", "text"), list(texts()))
def test_every_sentence_is_there_in_both_languages(name: str, text: Text) -> None:
    assert text.en.strip()
    assert CHINESE.search(text.zh), name
    assert not CHINESE.search(text.en), name
    assert text.en.count("{") == text.zh.count("{"), name


@pytest.mark.parametrize(("name", "note"), [*lookup.V1.items(), *lookup.V2.items()])
def test_a_file_is_explained_by_a_whole_sentence(name: str, note: FileNote) -> None:
    assert note.meaning.en[0].isupper() or note.meaning.en.startswith(("cpuacct.", "domain", "memory.", "member", "-", "0", "1"))
    assert note.meaning.en.endswith(".")
    assert note.meaning.zh.endswith("。")


def test_every_controller_has_files_in_the_tables() -> None:
    v1 = {lookup.controller_of(name) for name in lookup.V1}
    v2 = {lookup.controller_of(name) for name in lookup.V2}
    assert {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "blkio", "hugetlb", "net_cls"} <= v1
    assert {"net_prio", "rdma", "misc", lookup.CORE} <= v1
    assert {"cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma", "misc", lookup.CORE} <= v2
    assert (v1 | v2) - {lookup.CORE} | {"perf_event"} == set(lookup.CONTROLLERS)


@pytest.mark.parametrize("size", ["64KB", "2MB", "1GB"])
def test_huge_pages_of_any_size_have_their_sentences(size: str) -> None:
    assert lookup.note_of(f"hugetlb.{size}.max", is_v2=True) is lookup.V2["hugetlb.SIZE.max"]
    assert lookup.note_of(f"hugetlb.{size}.rsvd.limit_in_bytes", is_v2=False) is not None


def test_what_is_not_in_the_tables_is_nothing() -> None:
    assert lookup.note_of("memory.of_tomorrow", is_v2=True) is None
    assert lookup.note_of("memory.max", is_v2=False) is None
    assert lookup.controller_of("tasks") == lookup.controller_of("cgroup.procs") == lookup.CORE


def test_every_capability_and_namespace_has_its_sentence() -> None:
    assert set(capabilities.CAPABILITIES) == set(CAPABILITIES)
    assert set(capabilities.SETS) == set(CapabilitySets.__dataclass_fields__)
    assert set(namespaces.KINDS) == set(NAMESPACE_KINDS)
    assert set(UNIT_NAMES) == set(Unit)


def test_sections_have_headings_and_are_named_by_the_help() -> None:
    assert set(words.HEADINGS) == set(SECTIONS)
    assert all(name in ARGUMENTS["section"][1]["help"] for name in SECTIONS)
    assert build_parser("explain", explaining.COMMANDS["explain"]).parse_args(["--pid", "1"]).pid == 1
