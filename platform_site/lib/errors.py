"""The one error tree of the platform.

    StewardError                     500  the platform failed
    ├── InvalidRequest               400  the caller sent something that cannot be accepted
    ├── NotAuthenticated             401  nobody is signed in
    ├── PermissionRefused            403  somebody is signed in, and may not
    ├── NotFound                     404  it is not there, or not yours: both look alike
    ├── Conflict                     409  it is in a state that does not allow this
    ├── TooLarge                     413  the body or one of its parts is over a limit
    ├── RateLimited                  429  too many, `retry_after` seconds says when
    ├── UpstreamError                502  something outside the platform answered badly
    │   └── ProviderError            502  ... a model provider
    └── Unavailable                  503  something the platform needs is not there now
        └── SandboxUnavailable       503  ... the sandbox, so code is not executed

Foreign errors are translated into one of these at the border where they appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FieldErrors = Mapping[str, Sequence[str]]


class StewardError(Exception):
    """An error that can be shown: `detail` is a sentence for the caller, without secrets.

    Args:
        detail: what happened, for a person.
        errors: messages by field name, for forms and API clients.
        retryable: whether the same call may succeed later without a change.
        retry_after: seconds after which a repetition makes sense, where known.
    """

    status_code = 500
    title = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: FieldErrors | None = None,
        retryable: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retryable = retryable
        self.retry_after = retry_after


class InvalidRequest(StewardError):
    status_code = 400
    title = "Invalid request"


class NotAuthenticated(StewardError):
    status_code = 401
    title = "Not authenticated"


class PermissionRefused(StewardError):
    status_code = 403
    title = "Permission refused"


class NotFound(StewardError):
    status_code = 404
    title = "Not found"


class Conflict(StewardError):
    status_code = 409
    title = "Conflict"


class TooLarge(StewardError):
    status_code = 413
    title = "Too large"


class RateLimited(StewardError):
    status_code = 429
    title = "Too many requests"


class UpstreamError(StewardError):
    status_code = 502
    title = "Upstream error"


class ProviderError(UpstreamError):
    title = "Model provider error"


class Unavailable(StewardError):
    status_code = 503
    title = "Unavailable"


class SandboxUnavailable(Unavailable):
    title = "Sandbox unavailable"


TITLES: dict[int, str] = {
    400: "Invalid request",
    401: "Not authenticated",
    403: "Permission refused",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    431: "Request header fields too large",
    500: "Internal error",
    502: "Upstream error",
    503: "Unavailable",
}
"""The `error` line of the error body by HTTP status."""
