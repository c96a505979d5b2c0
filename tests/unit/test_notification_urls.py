"""The secrets within the URL of a recipient."""

from __future__ import annotations

import pytest

from worker.adapters.notifications.url_secrets import secrets_in


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://hooks.slack.com/services/T000AAA/B000BBB/abcDEF123456", ["abcDEF123456"]),
        ("https://discord.com/api/webhooks/123456789012/abc-DEF_0123456789", ["abc-DEF_0123456789"]),
        (
            "https://prod-12.westeurope.logic.azure.com/workflows/643e69f83c8944438d68119179a10a64/triggers/manual"
            "/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYF0z0eu",
            ["643e69f83c8944438d68119179a10a64", "KODuebWbDGYF0z0eu"],
        ),
        ("https://chat.googleapis.com/v1/spaces/A/messages?key=AIzaSy012345&token=tok%3D12345678", 2),
        ("mailtos://alice:p%40ss@smtp.example.com?to=ops1234567@example.com", ["p@ss"]),
        ("gotifys://tok3@host.example", ["tok3"]),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", ["123456789:abcdefg_hijklmnop"]),
        ("slack://me@T000AAA1234567/B/C", ["T000AAA1234567"]),
        ("slack://xoxb-1234-1234@T/B", ["xoxb-1234-1234", "xoxb-1234-1234"]),
        ("mailto://abc@example.com", []),
        ("ntfys://ntfy.example.com/production-deployments", []),
        ("no url at all", []),
        ("", []),
    ],
)
def test_passwords_and_tokens_are_found_and_words_are_not(url: str, secrets: list[str] | int) -> None:
    found = list(secrets_in(url))
    assert (len(found) if isinstance(secrets, int) else found) == secrets
