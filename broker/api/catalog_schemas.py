"""Fits the published document to the catalog of the moment: the arguments that are declared, and bodies that work."""

from __future__ import annotations

from typing import cast

from broker.api.openapi import JsonObject
from broker.core.catalog import DEFAULT_PROFILE, Catalog
from signaling.routes import Json

_TEXT: JsonObject = {"anyOf": [{"type": "string", "pattern": "^[^\\u0000]*$"}, {"type": "null"}]}
_NOTHING: JsonObject = {
    "anyOf": [{"type": "array", "maxItems": 0}, {"type": "object", "maxProperties": 0}, {"type": "null"}]
}

_SHIPPED = ("usd-viewer", DEFAULT_PROFILE)
"""What everybody may know to be there: it comes with Pixelferry."""


def fit_to_catalog(document: JsonObject, catalog: Catalog) -> None:
    """Write the arguments that any profile declares, and an example for each way to ask, into this document."""
    schemas = _schemas(document)
    names = sorted({name for profile in catalog.profiles.values() for name in profile.arguments})
    for model, field in (("StartStream", "arguments"), ("StartOvcStream", "application_arguments")):
        properties = cast(dict[str, JsonObject], schemas[model]["properties"])
        told: dict[str, Json] = {name: _TEXT for name in (*names, "nucleus_connection_config")}
        told["nucleus_connection_config"] = _NOTHING
        arguments: JsonObject = {"type": "object", "properties": told, "additionalProperties": False}
        text = "What the profile declares; its patterns hold. An empty value is the same as none."
        properties[field] = {"anyOf": [arguments, {"type": "null"}], "description": text}
    example = _example(catalog)
    if example is not None:
        _show(schemas, *example)


def fit_to_anybody(document: JsonObject) -> None:
    """Write bodies that can be read as examples into this document, and nothing that the catalog holds."""
    _show(_schemas(document), *_SHIPPED)


def _schemas(document: JsonObject) -> dict[str, JsonObject]:
    return cast(dict[str, JsonObject], cast(JsonObject, document["components"])["schemas"])


def _show(schemas: dict[str, JsonObject], application: str, profile: str) -> None:
    schemas["StartStream"]["examples"] = [{"id": application, "profile": profile}]
    schemas["StartOvcStream"]["examples"] = [{"application": application}]


def _example(catalog: Catalog) -> tuple[str, str] | None:
    """An application and a profile that can be streamed."""
    for application in catalog.applications.values():
        if application.versions:
            for profile in catalog.profiles_of(application, application.version(None).version):
                return application.id, DEFAULT_PROFILE if profile.id == application.default_profile else profile.id
    return None
