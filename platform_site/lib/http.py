"""What every HTTP answer has in common: the one error format, strict JSON, paths without a trailing slash."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django_scopes.exceptions import ScopeError
from rest_framework import exceptions
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from platform_site.lib.errors import TITLES, FieldErrors, InvalidRequest, PermissionRefused, StewardError, TooLarge

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]
ARRIVED_AT = "steward.arrived_at"
"""Where the edge notes the time of arrival in an ASGI scope."""
API_PREFIXES = ("/api/", "/v1/", "/health", "/metrics")


# --- The error body -----------------------------------------------------------------------------------------------
def error_body(
    *,
    status_code: int,
    detail: str,
    path: str,
    request_id: str = "",
    errors: FieldErrors | None = None,
    title: str = "",
) -> dict[str, Any]:
    """The body of every error answer, for every status."""
    body: dict[str, Any] = {
        "error": title or TITLES.get(status_code, "Error"),
        "detail": detail,
        "status_code": status_code,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "path": path,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = {field: list(messages) for field, messages in errors.items()}
    return body


def translate(exc: Exception) -> StewardError | None:
    """The platform's error for a framework's exception, None for one that nobody foresaw."""
    if isinstance(exc, StewardError):
        return exc
    if isinstance(exc, exceptions.APIException):
        return _from_rest_framework(exc)
    if isinstance(exc, Http404):
        return _error(404, "There is nothing here.")
    if isinstance(exc, PermissionDenied):
        return PermissionRefused("You may not do this.")
    if isinstance(exc, ScopeError):
        return PermissionRefused("Choose an organisation first: your account belongs to none.")
    if isinstance(exc, RequestDataTooBig):
        return TooLarge("The request body is too large.")
    if isinstance(exc, ValidationError):
        return _error(400, "The request is not valid.", errors=getattr(exc, "message_dict", None) or {"": exc.messages})
    if isinstance(exc, SuspiciousOperation):
        return _error(400, "The request cannot be accepted.")
    return None


def _error(
    status_code: int, detail: str, *, errors: FieldErrors | None = None, retry_after: int | None = None
) -> StewardError:
    error = StewardError(detail, errors=errors, retry_after=retry_after)
    error.status_code = status_code
    error.title = TITLES.get(status_code, "Error")
    return error


def _from_rest_framework(exc: exceptions.APIException) -> StewardError:
    if isinstance(exc, exceptions.ValidationError):
        errors = _flatten(exc.detail)
        first = next((f"{field}: {messages[0]}" if field else messages[0] for field, messages in errors.items()), "")
        return _error(400, first or "The request is not valid.", errors={k: v for k, v in errors.items() if k})
    wait = getattr(exc, "wait", None)
    return _error(exc.status_code, str(exc.detail), retry_after=math.ceil(wait) if wait else None)


def _flatten(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    if isinstance(detail, Mapping):
        flat: dict[str, list[str]] = {}
        for name, value in detail.items():
            key = "" if name in ("detail", "non_field_errors") else str(name)
            flat.update(_flatten(value, f"{prefix}.{key}" if prefix and key else key or prefix))
        return flat
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        if any(isinstance(item, Mapping) for item in detail):
            return {k: v for index, item in enumerate(detail) for k, v in _flatten(item, f"{prefix}[{index}]").items()}
        return {prefix: [str(item) for item in detail]}
    return {prefix: [str(detail)]}


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's door into the one error format."""
    request: Request = context["request"]
    error = translate(exc)
    if error is None:
        logger.exception("Unhandled error", exc_info=exc)
        error = StewardError("Something went wrong on our side. The log has the details under this request id.")
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    body = error_body(
        status_code=error.status_code,
        detail=error.detail,
        path=request.path,
        request_id=getattr(request, "request_id", ""),
        errors=error.errors,
        title=error.title,
    )
    return Response(body, status=error.status_code, headers=headers)


def wants_json(request: HttpRequest) -> bool:
    """Whether an error is told to a program rather than shown on a page."""
    accept = request.headers.get("Accept", "")
    return request.path.startswith(API_PREFIXES) or ("application/json" in accept and "text/html" not in accept)


def error_response(request: HttpRequest, error: StewardError) -> HttpResponse:
    """`error` as JSON for programs and as a page for people."""
    request_id = getattr(request, "request_id", "")
    body = error_body(
        status_code=error.status_code,
        detail=error.detail,
        path=request.path,
        request_id=request_id,
        errors=error.errors,
        title=error.title,
    )
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse(body, status=error.status_code)
    else:
        response = render(request, "errors/error.html", {"problem": body}, status=error.status_code)
    if error.retry_after:
        response["Retry-After"] = str(error.retry_after)
    return response


def error_pages(get_response: GetResponse) -> GetResponse:
    """Middleware: exceptions of page views become the one error answer.

    It stands last and is synchronous on purpose: with a synchronous innermost middleware Django runs the whole chain in
    one thread hop instead of two hops for each middleware.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = translate(exception)
        if error is None:
            return None
        return error_response(request, error)

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
    return middleware


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, translate(exception) or _error(400, "The request cannot be accepted."))


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, translate(exception) or PermissionRefused("You may not do this."))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, _error(404, "There is nothing here."))


def handler500(request: HttpRequest) -> HttpResponse:
    return error_response(request, StewardError("Something went wrong on our side. The log has the details."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django calls this when a form or a cookie-authenticated call carries no valid CSRF token."""
    return error_response(request, PermissionRefused("This form is no longer valid. Reload the page and try again."))


def trailing_slash(get_response: GetResponse) -> GetResponse:
    """Middleware: `/api/v1/runs/` is `/api/v1/runs`. No redirect, which would lose a POST body.

    An address with a NUL, which PostgreSQL takes in no text, goes no further.
    """
    kept = (f"/{settings.ADMIN_PATH}", settings.STATIC_URL)

    def middleware(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if "\0" in path or "%00" in request.META.get("QUERY_STRING", ""):
            return error_response(request, _error(400, "The address holds a character that no address has."))
        if len(path) > 1 and path.endswith("/") and not path.startswith(kept):
            request.path_info = path.rstrip("/") or "/"
            request.path = request.path.rstrip("/") or "/"
        return get_response(request)

    return middleware


# --- Strict JSON --------------------------------------------------------------------------------------------------
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class InvalidJSON(exceptions.ParseError):
    default_detail = "The body is not valid JSON."


def strict_json(raw: bytes) -> Any:
    """`raw` as JSON by RFC 8259: no NaN, no duplicate names, no huge integers, bounded depth.

    Raises:
        InvalidJSON: with a sentence that says what is wrong.
        InvalidRequest: a text in it is none that a database takes; names the field.
    """
    if _depth(raw) > settings.MAX_JSON_DEPTH:
        raise InvalidJSON(f"The JSON is nested deeper than {settings.MAX_JSON_DEPTH} levels.")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            object_pairs_hook=_unique_names,
        )
    except UnicodeDecodeError as exc:
        raise InvalidJSON("The body is not valid UTF-8.") from exc
    except RecursionError as exc:
        raise InvalidJSON("The JSON is nested too deeply.") from exc
    except ValueError as exc:
        raise InvalidJSON(f"The body is not valid JSON: {exc}") from exc
    if b"\\u" in raw and not _is_storable(value):
        raise _unstorable(value)
    return value


def _unstorable(value: Any) -> InvalidRequest:
    problem = "A text holds a NUL character or half of a surrogate pair."
    parts = value.items() if isinstance(value, dict) else []
    errors = {str(name): [problem] for name, part in parts if _is_storable(name) and not _is_storable(part)}
    return InvalidRequest(problem, errors=errors or None)


def _is_storable(value: Any) -> bool:
    """Whether every text in `value` is one that databases take: whole characters, no NUL."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    if isinstance(value, dict):
        return all(_is_storable(name) and _is_storable(item) for name, item in value.items())
    return not isinstance(value, list) or all(_is_storable(item) for item in value)


def _depth(raw: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    if raw.count(b"{") + raw.count(b"[") <= settings.MAX_JSON_DEPTH:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _bounded_int(digits: str) -> int:
    if len(digits) > 30:
        raise ValueError("an integer has too many digits")
    return int(digits)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same name twice")
    return result


class StrictJSONParser(JSONParser):
    """DRF's JSON parser with `strict_json`, for what calls itself JSON: a content type is no pattern such as `*/*`."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        if (media_type or "").partition(";")[0].strip().lower() != self.media_type:
            raise exceptions.UnsupportedMediaType(media_type or "")
        try:
            raw = stream.read()
        except RequestDataTooBig as exc:
            raise TooLarge("The request body is too large.") from exc
        if len(raw) > settings.MAX_BODY_BYTES:
            raise TooLarge(f"The request body is larger than {settings.MAX_BODY_BYTES} bytes.")
        return strict_json(raw)


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form was sent, also when that is nothing; None when the form is only to be shown."""
    return request.POST if request.method == "POST" else None


def client_address(request: HttpRequest) -> str:
    """The caller's address: the peer's, or what a trusted proxy said, which `lib/asgi.py` has worked out by now."""
    return str(request.META.get("REMOTE_ADDR", ""))


def arrived_at(request: HttpRequest) -> datetime:
    """When the request reached this server, before it waited for anything; now, where nobody noted it."""
    noted = getattr(request, "scope", {}).get(ARRIVED_AT)
    return noted if isinstance(noted, datetime) else datetime.now(UTC)
