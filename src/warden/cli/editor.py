"""Reading lines at the prompt: by prompt_toolkit when it is installed, else Python's readline, else plain input.

Owns editing and where completion appears; what is completed is completion.py's, and lines mean nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

#: From the line up to the cursor to the words that may stand for its last one.
Complete = Callable[[str], Sequence[str]]


class Editor(Protocol):
    """*read* returns a line without its end; raises EOFError at Ctrl-D and KeyboardInterrupt at Ctrl-C."""

    def read(self, prompt: str) -> str: ...


def open_editor(history: Iterable[str], complete: Complete) -> Editor:
    """The best editor that is installed here, for a person at a terminal."""
    for kind in (ToolkitEditor, ReadlineEditor):
        with suppress(ImportError):
            return kind(history, complete)
    return PlainEditor()


class PlainEditor:
    """No editing but the terminal's own."""

    def read(self, prompt: str) -> str:
        return input(prompt)


class ReadlineEditor:
    """Python's readline, which input() uses once it is imported."""

    def __init__(self, history: Iterable[str], complete: Complete) -> None:
        import readline

        self._readline = readline
        self._complete = complete
        self._found: Sequence[str] = ()
        for line in history:
            readline.add_history(line)
        readline.set_completer(self._nth)
        readline.set_completer_delims(" \t")  # flags hold dots, brackets and dashes
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")

    def _nth(self, _text: str, state: int) -> str | None:
        """readline(3) asks for the candidates one by one, from state 0 on."""
        if state == 0:
            before = self._readline.get_line_buffer()[: self._readline.get_endidx()]
            self._found = self._complete(before)
        return self._found[state] + " " if state < len(self._found) else None

    def read(self, prompt: str) -> str:
        return input(prompt)


class ToolkitEditor:
    """prompt_toolkit: suggestions from the history, completion as one types Tab."""

    def __init__(self, history: Iterable[str], complete: Complete) -> None:
        import prompt_toolkit
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.history import InMemoryHistory

        self._session: Any = prompt_toolkit.PromptSession(
            history=InMemoryHistory(list(history)),
            auto_suggest=AutoSuggestFromHistory(),
            completer=_toolkit_completer(complete),
            complete_while_typing=False,
        )

    def read(self, prompt: str) -> str:
        return str(self._session.prompt(prompt))


def _toolkit_completer(complete: Complete) -> Any:
    from prompt_toolkit.completion import Completer, Completion

    class Words(Completer):
        def get_completions(self, document: Any, _event: Any) -> Iterable[Any]:
            before = document.text_before_cursor
            start = len(before.rsplit(None, 1)[-1]) if before and not before[-1].isspace() else 0
            return (Completion(word + " ", start_position=-start, display=word) for word in complete(before))

    return Words()
