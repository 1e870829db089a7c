"""Reads the details of an error of the service: its stable reason, its metadata and the invalid fields.

gRPC itself gives a program only a code and a message for people. docs/ERRORS.md of Dateline lists the reasons.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

__all__ = ["Details", "FieldViolation", "details", "reason", "status_details"]

_STATUS_KEY = "grpc-status-details-bin"
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True)
class FieldViolation:
    """An invalid field of a request."""

    field: str
    """The path of the field, such as `content.headline`."""
    description: str
    """What is wrong with the value, and what would be valid."""


@dataclass(frozen=True)
class Details:
    """The details of an error. An error that does not come from the service, such as a lost connection, has none."""

    reason: str | None = None
    """The stable reason, such as `ARTICLE_UNKNOWN`. None if the error has no `ErrorInfo`."""
    domain: str | None = None
    """The domain of the reason."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The values that belong to the reason, such as the article."""
    field_violations: tuple[FieldViolation, ...] = ()
    """The invalid fields of the request. Only with INVALID_ARGUMENT."""
    retry_delay: datetime.timedelta | None = None
    """How long to wait before the next try. None if the service does not say."""


def reason(error: grpc.RpcError) -> str | None:
    """Returns the stable reason of an error of a call. None if the error does not come from the service."""
    return details(error).reason


def details(error: grpc.RpcError) -> Details:
    """Returns the details of an error of a call, whether the channel is of `grpc` or of `grpc.aio`."""
    trailers: object = getattr(error, "trailing_metadata", lambda: None)()
    for key, value in trailers or ():  # type: ignore[attr-defined]
        if key == _STATUS_KEY:
            try:
                return status_details(Status.FromString(value))
            except DecodeError:
                break
    return Details()


def status_details(status: Status) -> Details:
    """Returns the details of a `google.rpc.Status`, such as that of one rejected item."""
    info = _unpack(status, ErrorInfo())
    bad_request = _unpack(status, BadRequest())
    retry = _unpack(status, RetryInfo())
    return Details(
        reason=info.reason if info else None,
        domain=info.domain if info else None,
        metadata=dict(info.metadata) if info else {},
        field_violations=tuple(
            FieldViolation(violation.field, violation.description)
            for violation in (bad_request.field_violations if bad_request else ())
        ),
        retry_delay=retry.retry_delay.ToTimedelta() if retry else None,
    )


def _unpack(status: Status, message: _M) -> _M | None:
    """Fills `message` from the first detail of its type. None if there is no such detail."""
    return message if any(detail.Unpack(message) for detail in status.details) else None
