"""Random changes, crops and shards: held against loops over pixels, against Pillow, and against what they promise."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from bn.lab.data import augment

ENHANCE = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
RANDOM = {
    "random_crop": lambda x, generator: augment.random_crop(x, generator, 3),
    "random_flip": augment.random_flip,
    "distort": augment.distort,
    "augment": augment.augment,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(*shape, seed=0):
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(seed))


def photograph(h, w, seed=0):
    """A smooth picture, (1, 3, h, w), so that two ways of resampling agree."""
    coarse = np.random.default_rng(seed).integers(256, size=(5, 6, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC)
    return torch.tensor(np.asarray(smooth)).permute(2, 0, 1)[None]


def pillow(x):
    return Image.fromarray(x.permute(1, 2, 0).numpy())


# ---- All random changes --------------------------------------------------------------------------


@pytest.mark.parametrize("change", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay_and_the_generator_decides(change, channels):
    x = pictures(16, channels, 24, 20)
    before = x.clone()
    once, again, other = change(x, generator(1)), change(x, generator(1)), change(x, generator(2))
    assert once.shape == x.shape and once.dtype == torch.uint8
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert torch.equal(x, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("change", RANDOM.values(), ids=RANDOM)
def test_a_generator_on_the_cpu_changes_the_same_on_the_gpu(change):
    x = pictures(16, 3, 24, 20)
    on_gpu = change(x.cuda(), generator(1))
    assert on_gpu.is_cuda and (on_gpu.cpu().int() - change(x, generator(1)).int()).abs().max() <= 1
    assert change(x.cuda(), torch.Generator("cuda").manual_seed(1)).is_cuda


@pytest.mark.parametrize("change", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("x", [torch.zeros(2, 3, 8, 8), pictures(3, 8, 8), pictures(2, 4, 8, 8)])
def test_what_is_no_batch_of_images(change, x):
    with pytest.raises(ValueError, match=r"must be \(m, 1 or 3, h, w\) uint8, but they are \("):
        change(x, generator())


# ---- Position ------------------------------------------------------------------------------------


def test_a_random_crop_is_a_window_of_the_padded_image_and_every_window_comes():
    h, w, padding = 6, 5, 2
    x = pictures(400, 3, h, w).clamp(min=1)  # 0 is the padding's
    offsets = []
    for image, cropped in zip(x, augment.random_crop(x, generator(), padding), strict=True):
        padded = np.zeros((3, h + 2 * padding, w + 2 * padding), dtype=np.uint8)
        padded[:, padding:-padding, padding:-padding] = image
        windows = {(i, j): padded[:, i : i + h, j : j + w] for i in range(5) for j in range(5)}
        found = [offset for offset, window in windows.items() if np.array_equal(window, cropped)]
        assert len(found) == 1
        offsets += found
    counts = np.bincount([5 * i + j for i, j in offsets], minlength=25)
    assert ((counts - 16) ** 2 / 16).sum() < 60  # chi-squared, 24 degrees of freedom: above 51 once in a thousand


def test_no_padding_moves_nothing():
    x = pictures(4, 3, 8, 8)
    assert torch.equal(augment.random_crop(x, generator(), 0), x)


def test_half_of_the_images_are_mirrored():
    x = pictures(400, 1, 4, 5)
    flipped = augment.random_flip(x, generator())
    mirror = np.ascontiguousarray(x.numpy()[..., ::-1])
    kinds = [
        (np.array_equal(f, a), np.array_equal(f, b)) for f, a, b in zip(flipped.numpy(), x.numpy(), mirror, strict=True)
    ]
    assert set(kinds) == {(True, False), (False, True)}
    assert 160 < sum(kept for kept, _ in kinds) < 240


@pytest.mark.parametrize("padding", [-1, 1.0, True])
def test_padding_that_is_none(padding):
    with pytest.raises(ValueError, match="padding must be a whole number of pixels, 0 or more"):
        augment.random_crop(pictures(1, 3, 8, 8), generator(), padding)


# ---- Light and colour ----------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 1.5])
@pytest.mark.parametrize("i", range(3))
def test_each_factor_alone_is_that_of_pillow(factor, i):
    """Pillow rounds down, and rounds the greys too: two shades are allowed."""
    x = photograph(20, 30)
    factors = [torch.ones(1) for _ in range(3)]
    factors[i] = torch.tensor([factor])
    expected = np.asarray(ENHANCE[i](pillow(x[0])).enhance(factor)).transpose(2, 0, 1).astype(int)
    assert abs(augment.adjust(x, *factors)[0].numpy() - expected).max() <= 2
    assert abs(x[0].numpy() - expected).max() > 10


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_every_order_of_the_three_gives_the_same(order):
    """One after the other on shades from 80 to 150, which never leave 0 to 255 on the way."""
    x = (pictures(1, 3, 12, 12) % 70 + 80).to(torch.uint8)
    factors = (1.1, 0.7, 1.4)
    together = augment.adjust(x, *(torch.tensor([factor]) for factor in factors))
    apart = pillow(x[0])
    for i in order:
        apart = ENHANCE[i](apart).enhance(factors[i])
    assert abs(together[0].numpy().astype(int) - np.asarray(apart).transpose(2, 0, 1)).max() <= 4


def test_an_image_is_adjusted_as_if_it_were_alone():
    x, factors = (
        pictures(5, 3, 6, 7) // torch.arange(1, 6, dtype=torch.uint8)[:, None, None, None],
        torch.rand(3, 5, generator=generator()),
    )
    alone = [augment.adjust(x[i : i + 1], *factors[:, i : i + 1]) for i in range(5)]
    assert torch.equal(augment.adjust(x, *factors), torch.cat(alone))


def test_factors_are_drawn_for_each_image_and_within_the_strength():
    """Even grey has neither contrast nor saturation: it shows the brightness alone."""
    grey = torch.full((2_000, 3, 2, 2), 100, dtype=torch.uint8)
    light = augment.distort(grey, generator(), 0.4)[:, 0, 0, 0].double()
    assert light.min() >= 60 and light.max() <= 140
    assert light.min() < 62 and light.max() > 138 and abs(light.mean() - 100) < 2
    assert abs(light.std() - 80 / 12**0.5) < 1  # uniform


def test_strength_zero_changes_nothing_and_more_changes_more():
    x = torch.cat([photograph(16, 16, seed) for seed in range(20)])
    change = [(augment.distort(x, generator(), s).double() - x.double()).abs().mean() for s in (0, 0.1, 0.2, 0.4)]
    assert change[0] == 0 and change[0] < change[1] < change[2] < change[3]


@pytest.mark.parametrize("strength", [-0.1, 1, 1.5, "0.5", True, float("nan")])
def test_strengths_that_are_none(strength):
    with pytest.raises(ValueError, match="strength must be a number from 0 to below 1"):
        augment.augment(pictures(1, 3, 8, 8), generator(), strength)


# ---- Crops ---------------------------------------------------------------------------------------


def crops_by_pillow(x, size):
    """GoogLeNet's 144 crops of one image with Pillow's boxes and resampling, written after the paper's list."""
    image, found = pillow(x), []
    for shorter in [round(size * scale / 224) for scale in (256, 288, 320, 352)]:
        w, h = (round(side * shorter / min(image.size)) for side in image.size)
        scaled = image.resize((w, h), Image.Resampling.BILINEAR)
        for third in range(3):
            i, j = (h - shorter) * third // 2, (w - shorter) * third // 2
            square = scaled.crop((j, i, j + shorter, i + shorter))
            for top, left in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1)):
                a, b = (shorter - size) * top // 2, (shorter - size) * left // 2
                found.append(square.crop((b, a, b + size, a + size)))
            found.append(square.resize((size, size), Image.Resampling.BILINEAR))
    both = [turned for crop in found for turned in (crop, crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
    return np.stack([np.asarray(crop).transpose(2, 0, 1) for crop in both]).astype(int)


@pytest.mark.parametrize("h, w", [(28, 51), (51, 28), (28, 28)])
def test_144_crops_are_those_of_googlenet(h, w):
    x = photograph(h, w)
    crops = torch.stack(list(augment.crops(x, 144)))
    assert crops.shape == (144, 1, 3, 28, 28) and crops.dtype == torch.uint8
    assert abs(crops[:, 0].numpy() - crops_by_pillow(x[0], 28)).max() <= 2
    assert len({crop.numpy().tobytes() for crop in crops}) == (48 if h == w else 144)


@pytest.mark.parametrize("h, w", [(28, 28), (28, 40), (46, 28)])
def test_ten_crops_are_cut_from_the_middle_square_enlarged_to_eight_sevenths(h, w):
    x = photograph(h, w)
    i, j = (h - 28) // 2, (w - 28) // 2
    square = pillow(x[0, :, i : i + 28, j : j + 28]).resize((32, 32), Image.Resampling.BILINEAR)
    square = np.asarray(square).transpose(2, 0, 1).astype(int)
    cuts = [square[:, a : a + 28, b : b + 28] for a, b in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    expected = [turned for cut in cuts for turned in (cut, cut[..., ::-1])]
    for one, other in zip(augment.crops(x, 10), expected, strict=True):
        assert one.shape == (1, 3, 28, 28) and abs(one[0].numpy() - other).max() <= 2


def test_one_crop_is_the_centre_and_the_image_itself_where_it_fits():
    x = pictures(2, 1, 12, 20)
    (crop,) = augment.crops(x)
    np.testing.assert_array_equal(crop, x[:, :, :, 4:16])
    (whole,) = augment.crops(x[..., :12])
    assert torch.equal(whole, x[..., :12])


@pytest.mark.parametrize("count", [0, 2, 48, 10.0, True, None])
def test_counts_that_are_none(count):
    with pytest.raises(ValueError, match="count must be one of 1, 10, 144"):
        augment.crops(pictures(1, 3, 8, 8), count)


# ---- Shards --------------------------------------------------------------------------------------


def together(batches):
    return {frozenset(batch) for batch in batches.tolist()}


def pairs(batches):
    return {(a, b) for batch in batches.tolist() for a in batch for b in batch if a < b}


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    for within in (True, False):
        epochs = [augment.shards(96, 8, 3, epoch, within=within) for epoch in range(4)]
        for batches in epochs:
            assert batches.shape == (12, 8) and batches.dtype == torch.int64
            assert sorted(batches.flatten().tolist()) == list(range(96))
        assert len({batches.numpy().tobytes() for batches in epochs}) > 1


def test_without_shuffling_the_same_examples_always_meet():
    epochs = [together(augment.shards(96, 8, 3, epoch, within=False)) for epoch in range(5)]
    assert all(epoch == epochs[0] for epoch in epochs)


def test_with_shuffling_others_of_the_same_shard_meet_and_never_of_another():
    met = set().union(*(pairs(augment.shards(96, 8, 3, epoch)) for epoch in range(300)))
    partners = [{b for a, b in met if a == i} | {a for a, b in met if b == i} | {i} for i in range(96)]
    assert all(len(shard) == 32 for shard in partners)  # all of its shard in the long run
    assert len({frozenset(shard) for shard in partners}) == 3
    assert not together(augment.shards(96, 8, 3, 0)) & together(augment.shards(96, 8, 3, 1))


def test_one_shard_is_a_full_shuffle():
    met = set().union(*(pairs(augment.shards(24, 6, 1, epoch)) for epoch in range(200)))
    assert len(met) == 24 * 23 // 2


def test_the_seed_deals_and_the_epoch_needs_no_history():
    first = augment.shards(96, 8, 3, 7, seed=5)
    assert torch.equal(first, augment.shards(96, 8, 3, 7, seed=5))
    assert not torch.equal(first, augment.shards(96, 8, 3, 7, seed=6))
    dealt = [together(augment.shards(96, 8, 3, 0, seed=seed, within=False)) for seed in (5, 6)]
    assert not dealt[0] & dealt[1]


def test_what_is_left_of_a_shard_waits_for_another_epoch():
    epochs = [augment.shards(100, 8, 3, epoch) for epoch in range(20)]  # shards of 34, 33 and 33
    assert all(batches.shape == (12, 8) and len(batches.unique()) == 96 for batches in epochs)
    assert len(torch.cat(epochs).unique()) == 100
    control = [augment.shards(100, 8, 3, epoch, within=False).unique() for epoch in range(20)]
    assert len(torch.cat(control).unique()) == 96


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((23, 8, 3, 0), "examples must be a whole number at least 3 × 8, but it is 23"),
        ((96.0, 8, 3, 0), "examples must be a whole number"),
        ((96, 0, 3, 0), "batch must be a whole number at least 1"),
        ((96, 8, 0, 0), "count must be a whole number at least 1"),
        ((96, 8, 3, -1), "epoch must be a whole number at least 0"),
        ((96, 8, 3, 0, -1), "seed must be a whole number at least 0"),
    ],
)
def test_shards_that_are_none(arguments, words):
    with pytest.raises(ValueError, match=words):
        augment.shards(*arguments)
