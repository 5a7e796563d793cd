"""What is done to mini-batches of images: random changes and shuffling for training, many crops for testing.

>>> generator = torch.Generator().manual_seed(0)
>>> x = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
>>> augment(x, generator).shape
torch.Size([4, 3, 32, 32])

Images are (m, channels, h, w) uint8 with one channel or three, on any device, and stay so. Random numbers come from
the generator that is given, and are drawn on its device: one on the CPU gives the same changes everywhere. Whatever
is not such a batch, or out of range, raises ValueError.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey, ITU-R BT.601
_SCALES = (8, 9, 10, 11)  # sevenths: GoogLeNet's 256, 288, 320 and 352 pixels for crops of 224
COUNTS = (1, 10, 144)  # crops of an image in testing: a prediction costs as many forward passes


class Changes(NamedTuple):
    """What is done to each of m images, drawn beforehand: (m,) each, so that it can be kept and chosen from."""

    top: Tensor  # first row of the crop among those of the padded image, int64
    left: Tensor
    mirrored: Tensor  # bool
    brightness: Tensor  # factors, float32: 1 changes nothing
    contrast: Tensor
    saturation: Tensor


def augment(x: Tensor, generator: torch.Generator, strength: float = 0.5, mirrored: bool = True) -> Tensor:
    """Images moved by up to an eighth of their side, mirrored or not, and distorted in light and colour."""
    _check(x)
    return changed(x, Changes(*(t.to(x.device) for t in drawn(len(x), room(x), generator, strength, mirrored))))


def drawn(m: int, padding: int, generator: torch.Generator, strength: float = 0.5, mirrored: bool = True) -> Changes:
    """The random part of `augment`, on the generator's device: of m images that are moved by up to `padding` pixels."""
    top, left = _offsets(m, padding, generator)
    turned = _uniform((m,), generator) < 0.5 if mirrored else torch.zeros(m, dtype=torch.bool, device=generator.device)
    return Changes(top, left, turned, *_factors(m, generator, strength))


def changed(x: Tensor, changes: Changes) -> Tensor:
    """The rest of `augment`: the same images and changes give the same. Nothing is copied from the host on the way."""
    x = _cropped(x, changes.top, changes.left, room(x))
    return adjust(_turned(x, changes.mirrored), changes.brightness, changes.contrast, changes.saturation)


def room(x: Tensor) -> int:
    """Pixels by which an image is moved at most."""
    return min(x.shape[-2:]) // 8


def random_crop(x: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    """Each image with `padding` black pixels on all sides, cropped at a position of its own to the size it had."""
    _check(x)
    if type(padding) is not int or padding < 0:
        raise ValueError(f"padding must be a whole number of pixels, 0 or more, but it is {padding!r}")
    return _cropped(x, *_offsets(len(x), padding, generator).to(x.device), padding)


def _offsets(m: int, padding: int, generator: torch.Generator) -> Tensor:
    return torch.randint(2 * padding + 1, (2, m), generator=generator, device=generator.device)


def _cropped(x: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    m, channels, h, w = x.shape
    rows = top[:, None] + torch.arange(h, device=x.device)  # of each image
    columns = left[:, None] + torch.arange(w, device=x.device)
    image = torch.arange(m, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[:, None, None]
    return F.pad(x, (padding,) * 4)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def random_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right, or not, with equal chances."""
    _check(x)
    return _turned(x, (_uniform((len(x),), generator) < 0.5).to(x.device))


def _turned(x: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def distort(x: Tensor, generator: torch.Generator, strength: float = 0.5) -> Tensor:
    """Random brightness, contrast and saturation for each image: factors within 1 ± `strength`, below 1.

    Howard (2013), whom section 4.2.1 cites, draws them within 0.5 and 1.5. BN networks see each image fewer times,
    so the paper distorts them less: a smaller `strength`; it gives no number. At 0 nothing changes.
    """
    _check(x)
    return adjust(x, *_factors(len(x), generator, strength).to(x.device))


def _factors(m: int, generator: torch.Generator, strength: float) -> Tensor:
    """Three factors for each of m images, (3, m)."""
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength < 1:
        raise ValueError(f"strength must be a number from 0 to below 1, but it is {strength!r}")
    return 1 + strength * (2 * _uniform((3, m), generator) - 1)


def adjust(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Images with three factors (m,) each; 1 changes nothing.

    Saturation mixes a pixel with its own grey, contrast with the mean grey of the image, brightness with black.
    Howard applies the three in random order. Saturation leaves each grey as it is, contrast the mean grey, and
    brightness scales all alike, so every order gives this one formula; values are clipped only at its end.
    """
    _check(x)
    b, c, s = (factor[:, None, None, None] for factor in (brightness, contrast, saturation))
    values = x.float()
    grey = (values * _luma(x.shape[1], x.device)).sum(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    values = b * (c * (s * values + (1 - s) * grey) + (1 - c) * mean)
    return values.round().clamp(0, 255).to(torch.uint8)


def crops(x: Tensor, count: int = 1) -> Iterator[Tensor]:
    """The batch `count` times, each time another crop (m, channels, size, size), for a mean of the predictions.

    `size` is the shorter side of the images. The crops of one square exist at a time; `torch.cat` puts them together.

    - 1: the centre of the image as it is.
    - 10: the centre square, scaled to 8/7 of `size` (256 pixels for 224); its four corners and its centre, each
      followed by its mirror image.
    - 144, as GoogLeNet was tested (Szegedy et al., 2014): the shorter side scaled to 8, 9, 10 and 11 sevenths of
      `size`; of each scale the squares at both ends and in the middle of the longer side; of each square four
      corners, the centre, and the whole square scaled to `size`; and the mirror images: 4 × 3 × 6 × 2. A square
      image has its three squares in one position, so each of 48 different crops then comes three times.
    """
    _check(x)
    if type(count) is not int or count not in COUNTS:
        raise ValueError(f"count must be one of {', '.join(map(str, COUNTS))}, but it is {count!r}")
    size, centre = min(x.shape[-2:]), _squares(x)[1]
    if count == 1:
        return iter([centre])
    if count == 10:
        views = _corners_and_centre(scaled(centre, round(size * _SCALES[0] / 7)), size)
    else:
        squares = (square for scale in _SCALES for square in _squares(scaled(x, round(size * scale / 7))))
        views = (view for square in squares for view in (*_corners_and_centre(square, size), scaled(square, size)))
    return (mirrored for view in views for mirrored in (view, view.flip(-1)))


def _corners_and_centre(x: Tensor, size: int) -> list[Tensor]:
    """Squares of `size` pixels: the four corners, then the centre."""
    bottom, right = x.shape[-2] - size, x.shape[-1] - size
    offsets = (0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)
    return [x[..., i : i + size, j : j + size] for i, j in offsets]


def _squares(x: Tensor) -> list[Tensor]:
    """The squares at the start, in the middle and at the end of the longer side."""
    h, w = x.shape[-2:]
    side, room = min(h, w), abs(h - w)
    starts = 0, room // 2, room
    return [x[..., i : i + side, :] if h > w else x[..., i : i + side] for i in starts]


def shards(examples: int, batch: int, count: int, epoch: int, seed: int = 0, within: bool = True) -> Tensor:
    """The mini-batches of one epoch, (batches, batch) int64: which examples meet in a mini-batch (section 4.2.1).

    `seed` deals the examples to `count` shards once and for all, in one order each. An epoch goes through the shards
    in an order of its own, and no mini-batch has examples of two shards. With `within`, each epoch also shuffles the
    examples of each shard, so that they meet others of their shard every time. Without it, the control, the
    mini-batches are the same in each epoch, and only the order of the shards is not. One shard is a full shuffle.

    What is left of a shard after its last whole mini-batch waits for another epoch; in the control for ever, so
    `batch` should divide examples / count there. The epoch is a number, not a state: training can go on anywhere.
    """
    for name, value, least in (("batch", batch, 1), ("count", count, 1), ("epoch", epoch, 0), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise ValueError(f"{name} must be a whole number at least {least}, but it is {value!r}")
    if type(examples) is not int or examples < count * batch:
        raise ValueError(f"examples must be a whole number at least {count} × {batch}, but it is {examples!r}")
    dealt = np.array_split(np.random.default_rng([seed, 0]).permutation(examples), count)
    draw = np.random.default_rng([seed, 1 + epoch])
    turns = draw.permutation(count)
    order = [draw.permutation(dealt[i]) if within else dealt[i] for i in turns]
    whole = [shard[: len(shard) // batch * batch] for shard in order]
    return torch.from_numpy(np.concatenate(whole).reshape(-1, batch))


def scaled(x: Tensor, shorter: int) -> Tensor:
    """Images whose shorter side has so many pixels, in their proportions; averaged where that is fewer."""
    h, w = x.shape[-2:]
    if min(h, w) == shorter:
        return x
    size = [round(side * shorter / min(h, w)) for side in (h, w)]
    scaled = F.interpolate(x.float(), size=size, mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)


@cache
def _luma(channels: int, device: torch.device) -> Tensor:
    """Weights of the channels in grey, (channels, 1, 1), made once: a copy from the host would wait for the device."""
    return torch.tensor(_LUMA if channels == 3 else (1.0,), device=device)[:, None, None]


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _check(x: Tensor) -> None:
    if x.dtype != torch.uint8 or x.dim() != 4 or x.shape[1] not in (1, 3):
        shape = f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
        raise ValueError(f"the images must be (m, 1 or 3, h, w) uint8, but they are {shape}")
