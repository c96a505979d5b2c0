"""The ingress's HTTP interface as an OpenAPI 3.1 description, served at /openapi.json.

Written by hand, as Flask has no model of its answers. Schemathesis checks a real ingress against it
(`make test`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TOKEN = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "One of ACI_HOOKS_WEBHOOK_TOKENS, for senders in which only a URL can be configured.",
    "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_~-]+$"},
}
_PROBLEMS = {
    "400": "The body is not what the sender sends; sending it again can't help.",
    "401": "No valid secret. Checked before the body is parsed.",
    "404": "Unknown sender, or not enabled.",
    "405": "The method must be POST.",
    "413": "The body has more than ACI_HOOKS_MAX_BODY bytes.",
    "503": "The queue is unavailable: send it again. Answered within five seconds.",
}
_SCHEMAS: dict[str, Any] = {
    "Queued": {
        "type": "object",
        "required": ["status", "id", "pushes"],
        "additionalProperties": False,
        "properties": {
            "status": {"const": "queued"},
            "id": {"type": "string", "minLength": 1},
            "pushes": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/components/schemas/Pushed"},
            },
        },
    },
    "Pushed": {
        "type": "object",
        "required": ["image", "digest"],
        "additionalProperties": False,
        "properties": {
            "image": {"type": "string", "examples": ["docker.io/acme/shop:v2"]},
            "digest": {
                "type": ["string", "null"],
                "description": "null if the sender gives none.",
            },
        },
    },
    "Ignored": {
        "type": "object",
        "required": ["status", "reason"],
        "additionalProperties": False,
        "properties": {
            "status": {"const": "ignored"},
            "reason": {"type": "string", "minLength": 1},
        },
    },
    "Handshake": {
        "type": "object",
        "description": "The answer to Event Grid's validation request (acr).",
        "required": ["validationResponse"],
        "properties": {"validationResponse": {"type": "string"}},
    },
    "Problem": {
        "type": "object",
        "description": "Problem details, RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 503},
            "detail": {"type": "string"},
        },
    },
    "Status": {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string"}},
    },
}


def describe(senders: Sequence[str]) -> dict[str, Any]:
    """The whole document, for these senders."""
    sender = {
        "name": "sender",
        "in": "path",
        "required": True,
        "description": "The sender: it decides how the body is parsed and which authentication is accepted.",
        "schema": {"type": "string", "enum": list(senders)},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aci-hooks ingress",
            "version": "1",
            "description": "Receives webhooks from registries and puts their pushes onto a queue.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {**_webhooks(sender), **_SERVICE},
        "components": {"schemas": _SCHEMAS, "securitySchemes": _SECURITY_SCHEMES},
    }


def _webhooks(sender: dict[str, Any]) -> dict[str, Any]:
    return {
        "/webhooks/{sender}": {
            "parameters": [sender],
            "post": _delivery("deliver", [{"bearer": []}, {"own": []}]),
        },
        # No security scheme of OpenAPI is a secret in the path, so the token is a parameter.
        "/webhooks/{sender}/{token}": {
            "parameters": [sender, _TOKEN],
            "post": _delivery("deliverWithToken", []),
            "options": _consent(),
        },
    }


def _delivery(operation: str, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    understood = {
        "anyOf": [
            {"$ref": "#/components/schemas/Ignored"},
            {"$ref": "#/components/schemas/Handshake"},
        ]
    }
    return {
        "operationId": operation,
        "security": security,
        "requestBody": {
            "required": True,
            "description": "The sender's body, up to ACI_HOOKS_MAX_BODY bytes. Its Content-Type is ignored.",
            "content": {"application/json": {"schema": {}}},
        },
        "responses": {
            "202": {
                "description": "Every push is on the queue.",
                "content": _json("Queued"),
            },
            "200": {
                "description": "Understood, but it contains no push.",
                "content": {"application/json": {"schema": understood}},
            },
            **{status: _problem(status) for status in _PROBLEMS},
        },
    }


def _consent() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    return {
        "operationId": "consent",
        "description": "The handshake of CloudEvents: whether an origin, such as eventgrid.azure.net, may send (acr).",
        "security": [],
        "parameters": [{"name": "WebHook-Request-Origin", "in": "header", **text}],
        "responses": {
            "200": {
                "description": "The allowed methods, and the origin if it may send.",
                "headers": {
                    "Allow": {"required": True, **text},
                    "WebHook-Allowed-Origin": text,
                },
            },
            "401": _problem("401"),
            "404": _problem("404"),
        },
    }


def _get(
    description: str, content: dict[str, Any], with_problem: str | None = None
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": description, "content": content}
    }
    if with_problem:
        responses[with_problem] = _problem(with_problem)
    return {"security": [], "responses": responses}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _problem(status: str) -> dict[str, Any]:
    headers = {
        "401": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
        "405": {"Allow": {"required": True, "schema": {"type": "string"}}},
        "503": {"Retry-After": {"required": True, "schema": {"type": "integer"}}},
    }
    return {
        "description": _PROBLEMS[status],
        "headers": headers.get(status, {}),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"}
            }
        },
    }


_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_SERVICE = {
    "/healthz": {"get": _get("The process is alive.", _json("Status"))},
    "/readyz": {
        "get": _get("The queue can be reached.", _json("Status"), with_problem="503")
    },
    "/metrics": {"get": _get("Metrics for Prometheus.", _TEXT)},
    "/openapi.json": {"get": _get("This document.", _OBJECT)},
}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "own": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "The sender's own signature or header; this one is for ghcr and generic.",
    },
}
