"""What is behind a digest: what the image is, for which platforms it is built, and when it was made.

Digests never change what they stand for (opencontainers/image-spec, descriptor.md), so all of it is remembered.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry.asking import Asking
from worker.adapters.registry.dates import created_in, platform_in
from worker.adapters.registry.manifests import Contents, contents_of
from worker.adapters.registry.memory import Memory

CONTENTS_KEPT = 4096
MOST_READ = 4
"""Manifests that are read of one index, because only they tell what it holds: each counts as a pull."""
log = structlog.get_logger()


class BehindDigests:
    """Reads manifests and configs, for many threads at once."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._contents: Memory[tuple[str, str, bool], Contents] = Memory(CONTENTS_KEPT)
        self._made: Memory[tuple[str, str], datetime] = Memory(CONTENTS_KEPT)

    def known(self, image: ImageReference, digest: str) -> Contents | None:
        """What is remembered of a digest; None if nothing is."""
        return self._contents.get(
            (image.name, digest, self._asking.access(image).platforms)
        )

    def read(
        self, image: ImageReference, digest: str, body: bytes, deadline: float
    ) -> Contents:
        """What is behind a digest, remembered: it never changes."""
        contents, platforms = contents_of(body), self._asking.access(image).platforms
        try:
            for inner in contents.to_read[:MOST_READ]:
                answer = self._asking.ask(
                    "GET", image, f"manifests/{inner}", "manifests", deadline
                )
                # Not remembered, so that the next lookup asks again.
                if answer.status != 200:
                    return contents
                contents = contents.with_inner(inner, contents_of(answer.body))
        except RemoteError as error:
            log.info("manifest not read", image=str(image), why=error.message)
            return contents
        # This takes one more request, so it is made only where a policy asks for a platform. An index names its
        # platforms.
        if contents.config and platforms:
            platform = platform_in(self._config(image, contents.config, deadline))
            contents = replace(
                contents, built_for=frozenset({platform}) if platform else None
            )
        self._contents.keep((image.name, digest, platforms), contents)
        return contents

    def created(
        self, image: ImageReference, digest: str, deadline: float
    ) -> datetime | None:
        """When the image behind a digest was made; None if that is not said, or if it was never read."""
        made = self._made.get((image.name, digest))
        if made is None and (contents := self.known(image, digest)):
            config = self._config_of(image, contents, deadline)
            made = created_in(self._config(image, config, deadline))
            if made:
                self._made.keep((image.name, digest), made)
        return made

    def _config_of(
        self, image: ImageReference, contents: Contents, deadline: float
    ) -> str | None:
        """The digest of an image's config; of an index that of the image that Azure would run."""
        if contents.main is None:
            return contents.config
        answer = self._asking.ask(
            "GET", image, f"manifests/{contents.main}", "manifests", deadline
        )
        return contents_of(answer.body).config

    def _config(
        self, image: ImageReference, digest: str | None, deadline: float
    ) -> bytes:
        """The config of an image; nothing if it can't be had."""
        if digest is None:
            return b""
        try:
            return self._asking.ask(
                "GET", image, f"blobs/{digest}", "manifests", deadline
            ).body
        except RemoteError as error:
            log.info("config not read", image=str(image), why=error.message)
            return b""
