"""What is asked of the generated application, found in what the model wrote about it.

An application whose README shows how to POST a record gets one, and must give it back. Any other must serve the very
page that was generated.
"""

from __future__ import annotations

import json
import secrets
import shlex
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

import httpx

from platform_site.demo.failure import StepFailed

_PAGES = ("index.html", "static/index.html", "public/index.html")


class Exercise(Protocol):
    """Something that only this application can answer; `kept` says what a restart must keep."""

    kept: ClassVar[str]

    def first(self, app: httpx.Client) -> str:
        """Asks for the first time; says what came.

        Raises:
            StepFailed: the answer is not this application's.
        """

    def again(self, app: httpx.Client, marker: str) -> str:
        """Asks for the same with `marker` in the address; says what came.

        Raises:
            StepFailed: the answer is another one than before.
        """


@dataclass
class Record:
    """A record is created, and found again."""

    kept: ClassVar[str] = "new processes, the record is still there"

    path: str
    body: dict[str, Any]
    location: str = ""

    def first(self, app: httpx.Client) -> str:
        response = app.post(self.path, json=self.body)
        created = _json_object(response)
        if response.status_code not in (200, 201):
            raise StepFailed(f"POST {self.path} answered {response.status_code}: {response.text[:200]}")
        self.location = response.headers.get("Location") or f"{self.path}/{created.get('id')}"
        self._compare(created, "POST")
        return f"POST {self.path} {response.status_code} {json.dumps(self.body, ensure_ascii=False)}"

    def again(self, app: httpx.Client, marker: str) -> str:
        response = app.get(self.location, params={"seen": marker})
        self._compare(_json_object(response), "GET")
        return f"GET {self.location} {response.status_code} gives the same record"

    def _compare(self, record: dict[str, Any], method: str) -> None:
        wrong = {name: record.get(name) for name, value in self.body.items() if record.get(name) != value}
        if wrong:
            raise StepFailed(f"{method} answered another record than was sent: {json.dumps(wrong)[:200]}")


@dataclass
class Page:
    """The generated page is served."""

    kept: ClassVar[str] = "new processes, the same page"

    content: str

    def first(self, app: httpx.Client) -> str:
        return self.again(app, "")

    def again(self, app: httpx.Client, marker: str) -> str:
        response = app.get("/", params={"seen": marker} if marker else None)
        if response.status_code != 200 or response.text != self.content:
            raise StepFailed(f"GET / answered {response.status_code} and not the generated page.")
        return f"GET / 200 gives the generated page, {len(response.content):,} bytes"


def exercise_for(generation: dict[str, Any]) -> Exercise:
    """What to ask of the application in a generation's answer.

    Raises:
        StepFailed: it shows no POST and has no page.
    """
    if record := _from_documentation(generation["documentation"]):
        return record
    files = {file["path"]: file["content"] for file in generation["files"]}
    for path in _PAGES:
        if path in files:
            return Page(files[path])
    raise StepFailed("The README shows no POST with curl and there is no index.html, so nothing is known to ask for.")


def _from_documentation(documentation: str) -> Record | None:
    for line in documentation.replace("\\\n", " ").splitlines():
        if "curl" not in line or "POST" not in line:
            continue
        try:
            words = shlex.split(line)
            url = next(word for word in words if word.startswith("http"))
            body = json.loads(next(words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-d", "--data")))
        except (ValueError, StopIteration):
            continue
        if isinstance(body, dict):
            return Record(urlsplit(url).path, _with_own_text(body))
    return None


def _with_own_text(body: dict[str, Any]) -> dict[str, Any]:
    """The example with a text of this walk, so that the record found later is the one that was sent now."""
    for name, value in body.items():
        if isinstance(value, str) and value.startswith("Example"):
            return body | {name: f"Seen by the demo {secrets.token_hex(3)}"}
    return body


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError as exc:
        raise StepFailed(f"{response.request.url.path} answered {response.status_code} and no JSON.") from exc
    if not isinstance(found, dict):
        raise StepFailed(f"{response.request.url.path} answered no JSON object.")
    return found
