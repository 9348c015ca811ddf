"""From a request to the text of the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .answer import END_MARKER, OPENING, write_answer
from .api import write_api
from .command import write_command
from .functions import FUNCTIONS, write_function
from .readme import summary
from .request import Kind, Request, SourceFile
from .site import write_site
from .tools import write_tool

_WRITERS: Mapping[Kind, Callable[[Request], list[SourceFile]]] = {
    Kind.API: write_api,
    Kind.SITE: write_site,
    Kind.COMMAND: write_command,
    Kind.TEXT_TOOL: write_tool,
    Kind.FUNCTION: write_function,
}
_CAN = (
    'The templates write a JSON API with a web page over one kind of record ("a to-do list API with title, due '
    'date and done flag"), a static site, a command-line tool, and a plain function out of this list: '
    + ", ".join(sorted(FUNCTIONS)).replace("_", " ")
    + ". The languages are Python, JavaScript and HTML. For anything else configure a real model provider."
)
_REFUSALS = {
    Kind.UNKNOWN_FUNCTION: "They do not know the function that the description asks for, so no file was written.",
    Kind.TALK: "They cannot hold a conversation; they only write small applications from a description.",
    Kind.NO_COMMAND_LINE: "HTML has no command line, so no file was written. Ask for Python or JavaScript.",
}


def write_for(request: Request) -> str:
    """The whole answer to a request; the same request always gives the same text."""
    if request.kind not in _WRITERS:
        return "\n\n".join([OPENING, _refusal(request), _CAN, END_MARKER]) + "\n"
    files = _WRITERS[request.kind](request)
    again = ["Templates cannot repair anything: this is the same application as before."] if request.repeated else []
    notes = [note.replace("`", "'").replace("\n", " ") for note in request.notes]
    return write_answer(files, [*again, summary(request), *notes])


def _refusal(request: Request) -> str:
    if request.kind is Kind.UNKNOWN_LANGUAGE:
        return "They do not write the language that was asked for, so no file was written."
    return _REFUSALS[request.kind]
