"""What a team does with its registry in a month."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

MEGABYTE = 1000**2
GIGABYTE = 1000**3


class Way(StrEnum):
    """How layers are pushed: one PUT to S3, streamed through the gateway, or cut into chunks of a request."""

    EDGE = "edge"
    GATEWAY = "gateway"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Team:
    """`images` and `pulls` are a month's; `image_mb` is compressed, in 1000² bytes; `stored_gb` in 1000³.

    `new_share` of an image's layers no registry has yet as it is pushed, `outside_share` of the bytes pulled
    leave the region. Every pull takes the whole image, of one platform.
    """

    images: int
    pulls: int
    image_mb: float
    layers: int
    new_share: float
    outside_share: float
    stored_gb: float
    way: Way
    gateway_tasks: int
    has_free_tiers: bool

    @property
    def new_layers(self) -> int:
        """Of one image, with what is left of a layer as a whole one."""
        return ceil(self.layers * self.new_share)

    @property
    def layer_bytes(self) -> float:
        return self.image_mb * MEGABYTE / self.layers

    @property
    def pushed_gb(self) -> float:
        return self.images * self.new_layers * self.layer_bytes / GIGABYTE

    @property
    def outside_gb(self) -> float:
        return self.pulls * self.image_mb * MEGABYTE * self.outside_share / GIGABYTE

    @property
    def stored_layers(self) -> float:
        return self.stored_gb * GIGABYTE / self.layer_bytes

    @property
    def stored_images(self) -> float:
        """As many as the new layers of each make up what is stored."""
        return self.stored_layers / max(self.new_layers, 1)
