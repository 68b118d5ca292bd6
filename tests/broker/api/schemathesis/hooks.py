"""Lets generated requests meet what is really there: every other well-formed name becomes one that exists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import schemathesis

from broker.api.models import SESSION_ID_PATTERN

_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,62}")
_EXISTING = {"id": ("app", "other"), "application": ("app", "other"), "profile": ("default", "special")}
_sessions: list[str] = []


def _met(name: str, value: object) -> object:
    """This value, or one that exists; it stays as valid, or as wrong, as it was."""
    if not isinstance(value, str) or len(value) % 2:
        return value
    if re.fullmatch(SESSION_ID_PATTERN, value) is not None and _sessions:
        return _sessions[sum(value.encode()) % len(_sessions)]
    if name in _EXISTING and _ID.fullmatch(value) is not None:
        return _EXISTING[name][sum(value.encode()) % 2]
    return value


def _each_met(values: object) -> object:
    return {name: _met(name, value) for name, value in values.items()} if isinstance(values, Mapping) else values


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: object) -> object:
    return _each_met(body)


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: object) -> object:
    return _each_met(path_parameters)


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Remember the sessions that were made. The method asked for may be another than the operation's."""
    made = case.operation.label == "POST /stream" and response.status_code in (200, 202)
    if made and (session_id := response.json().get("id") if response.content else None):
        _sessions.append(session_id)
