"""Shows a generation while it is written, checked and tested."""

from __future__ import annotations

import re

from platform_site.demo.client import Event
from platform_site.demo.terminal import Terminal

# The fence that opens a file, as `aigen` asks models for it.
_FILE = re.compile(r"^(?:`{3,}|~{3,})\S* +path=(\S+)", re.MULTILINE)


class WritingView:
    """Takes the events of a generation's run one by one and prints what people want to know."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._answer = ""
        self._shown: list[str] = []
        self.test_lines = 0
        self.end_state = ""

    def take(self, event: Event) -> None:
        match event["kind"]:
            case "token":
                self._take_token(event["text"])
            case "line":
                self.test_lines += 1
                self._terminal.line(f"| {event['text']}")
            case "state":
                self._take_state(event)
            case "end":
                self.end_state = event["state"]

    def _take_token(self, text: str) -> None:
        self._answer += text
        # A name is complete once its line is, so the last line is not looked at yet.
        whole = self._answer[: self._answer.rfind("\n") + 1]
        for path in _FILE.findall(whole)[len(self._shown) :]:
            self._shown.append(path)
            self._terminal.line(f"+ {path}")
        self._terminal.live(f"{len(self._answer):,} characters, {len(self._shown)} files …")

    def _take_state(self, event: Event) -> None:
        data = event.get("data", {})
        if event["text"] == "writing":
            self._answer, self._shown = "", []
            if data.get("repair"):
                self._terminal.line(f"repair {data['repair']}")
        elif event["text"] == "checking":
            self._terminal.line(f"{len(self._answer):,} characters in {len(self._shown)} files; checking and testing")
        elif event["text"] == "verdict":
            self._terminal.line(f"verdict: {data.get('verdict')}: {data.get('summary')}")
        elif event["text"] == "provider_retry":
            self._terminal.line(f"the provider is asked again: {data.get('reason')}")
