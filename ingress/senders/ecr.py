"""Amazon ECR, through an EventBridge rule with an API destination.

docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html. An image with several tags has an event for each.
"""

from __future__ import annotations

import re

from ingress.authentication import BasicPassword, FixedHeader
from ingress.delivery import Delivery, Ignored, Malformed, Parsed
from ingress.media_types import why_no_image
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_or_reason

ACCEPTS = (FixedHeader("X-Api-Key"), BasicPassword())

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,5}(-[a-z0-9]+)+")
# The partitions of AWS: github.com/boto/botocore/blob/develop/botocore/data/partitions.json
_DOMAIN = "amazonaws.com"
_DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}


def parse(delivery: Delivery) -> Parsed:
    """The push of `detail.image-tag` to the registry of the event's account and region."""
    event = read_json(delivery.body)
    kind = event["detail-type"].text()
    if kind != "ECR Image Action":
        return Ignored(f"event {kind[:40]!r} is not an image action")
    detail = event["detail"]
    action, result = detail["action-type"].text(), detail["result"].text()
    if (action, result) != ("PUSH", "SUCCESS"):
        return Ignored(
            f"action {action[:40]!r} with result {result[:40]!r} is not a push"
        )
    no_image = why_no_image(
        detail["manifest-media-type"].label(), detail["artifact-media-type"].label()
    )
    push = no_image or push_of_tag(
        delivery.sender,
        _registry(event),
        detail["repository-name"].text(),
        detail["image-tag"].optional_text(),
        digest=detail["image-digest"].optional_text(),
        pushed_at=event["time"].time(),
    )
    return pushes_or_reason([push])


def _registry(event: Node) -> str:
    # No host is sent. Its two parts are checked because a webhook must not be able to name any host.
    account, region = event["account"].text(), event["region"].text()
    if not _ACCOUNT.fullmatch(account) or not _REGION.fullmatch(region):
        raise Malformed(
            f"{account[:40]!r} in {region[:40]!r} do not name an AWS account and region"
        )
    return f"{account}.dkr.ecr.{region}.{_domain_of(region)}"


def _domain_of(region: str) -> str:
    for start, domain in _DOMAINS.items():
        if region.startswith(start):
            return domain
    return _DOMAIN
