"""What is answered where no model is configured: the truth about it."""

from __future__ import annotations

from runs.context import RunContext

TEXT = """\
I am not a language model, so I cannot hold a conversation. No model is configured on this installation; what answers \
here is the built-in part of Steward, which works from templates.

What it can do without a model: in the studio, describe a small application in plain language, for example "a to-do \
list API with title, due date and done flag". It writes the files with tests and a README, runs the tests in a \
sandbox, and the result can be deployed with one click.

To talk to a model here, an administrator adds a provider endpoint under Administration, or sets OPENAI_BASE_URL and \
OPENAI_MODEL, or OLLAMA_API_URL and OLLAMA_MODEL, and starts Steward again.
"""


def say_what_it_is(context: RunContext) -> None:
    """Writes the whole text into the run's log, paragraph by paragraph."""
    for paragraph in TEXT.splitlines(keepends=True):
        context.check_cancelled()
        context.token(paragraph)
