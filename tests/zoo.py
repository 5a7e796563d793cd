"""The networks of torchvision and timm: how each is built, and what it is called with; for real_networks.py.

Nothing is downloaded: all parameters are random. torchvision's networks are those that it lists, timm's a fixed list
of many families.
"""

import importlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import pytest
import torch
from networks import torchvision_models
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

CLASSES = 10
SIZES = (32, 64, 80, 96, 128, 160, 192, 224, 256, 299)  # of images, in pixels: the first that a network takes is used
# What makes a detector small: the size to which it scales its images, and the boxes that it looks at.
RCNN = {"min_size": 64, "max_size": 64, "box_score_thresh": 0.0, "box_detections_per_img": 5} | {
    "box_batch_size_per_image": 16,
    "rpn_batch_size_per_image": 16,
    "rpn_pre_nms_top_n_train": 50,
    "rpn_pre_nms_top_n_test": 50,
}
DENSE = {"score_thresh": 0.0, "detections_per_img": 5, "topk_candidates": 20}
# Networks that have a second head or not, and the option that says so.
AUXILIARY = {
    "googlenet": "aux_logits",
    "inception_v3": "aux_logits",
    "fcn_resnet50": "aux_loss",
    "deeplabv3_resnet50": "aux_loss",
}
# In the first rows the layers are torch's BatchNorm; in the others, all or some are timm's own subclass of it.
OF_TIMM = """
resnet18 seresnext26d_32x4d legacy_seresnet18 res2net50_14w_8s resnest14d dla34 selecsls42b hrnet_w18_small
legacy_xception fasternet_t0 starnet_s1 convmixer_768_32 repvit_m0_9 visformer_tiny tiny_vit_5m_224 efficientvit_b0
efficientvit_m0 hgnetv2_b0 xcit_nano_12_p16_224 levit_128s nextvit_small shvit_s1 swiftformer_xs efficientformer_l1
ghostnet_100 repghostnet_050 rexnet_100 xception41 skresnet18 fastvit_t8 efficientformerv2_s0 lambda_resnet26t
resnetv2_50 densenet121 dpn68 cspresnet50 ese_vovnet19b_dw inception_v4 efficientnet_b0 mobilenetv4_conv_small
regnety_002 repvgg_a0 mobileone_s0 coatnet_pico_rw_224 mobilevit_xxs tresnet_m
"""


class Network(NamedTuple):
    """`build()` makes it, `inputs(size)` the arguments of a call, for training and inference alike."""

    library: str
    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], tuple]


def networks() -> Iterator[Network]:
    """All networks, in the order in which they are tested."""
    models = torchvision_models()
    of_segmentation = {"weights_backbone": None, "num_classes": CLASSES}
    for module, options, inputs in (
        (models, {"num_classes": CLASSES}, images),
        (models.segmentation, of_segmentation, images),
        (models.detection, {"weights_backbone": None, "num_classes": 2}, scenes),
        (models.video, {"num_classes": CLASSES}, clips),
        (models.optical_flow, {}, pairs_of_images),
    ):
        for name in models.list_models(module=module):
            build = partial(of_torchvision, name, options | of_detector(name))
            yield Network("torchvision", name, build, inputs)
            if name in AUXILIARY:
                build = partial(of_torchvision, name, options, auxiliary=True)
                yield Network("torchvision", f"{name} with {AUXILIARY[name]}", build, inputs)
    for name in OF_TIMM.split():
        yield Network("timm", f"timm {name}", partial(of_timm, name), images)


def of_detector(name: str) -> dict:
    """The options that make a detector small."""
    if "rcnn" in name:
        return RCNN
    if name.startswith("ssdlite"):  # its images have one size
        return DENSE
    return DENSE | {"min_size": 64, "max_size": 64} if name.startswith(("retinanet", "fcos")) else {}


def of_torchvision(name: str, options: dict, auxiliary: bool = False) -> nn.Module:
    """One of torchvision's networks."""
    models = torchvision_models()
    if name in ("googlenet", "inception_v3"):
        options = options | {"init_weights": False}  # torch's own random numbers will do, in a tenth of the time
    if name in AUXILIARY:
        options = options | {AUXILIARY[name]: auxiliary}
    net = models.get_model(name, weights=None, **options)
    if isinstance(net, models.VGG):  # nine tenths of its parameters, which have nothing to do with BatchNorm
        net.classifier = nn.Sequential(nn.Linear(512 * 7 * 7, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, CLASSES))
    return net


def of_timm(name: str) -> nn.Module:
    """One of timm's networks."""
    torchvision_models()  # timm imports torchvision
    return pytest.importorskip("timm").create_model(name, pretrained=False, num_classes=CLASSES)


# ---- What they are called with -------------------------------------------------------------------------------------


def images(size: int) -> tuple:
    return (torch.rand(3, 3, size, size),)


def clips(size: int) -> tuple:
    return (torch.rand(2, 3, 16, size, size),)


def pairs_of_images(size: int) -> tuple:
    return torch.rand(2, 3, size, size), torch.rand(2, 3, size, size), 2  # the flow is refined twice


def scenes(size: int) -> tuple:
    """Two images with an object in each."""
    x, y, to_x, to_y = size / 8, size / 8, size / 2, size * 3 / 4
    target = {
        "boxes": torch.tensor([[x, y, to_x, to_y]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, size, size, dtype=torch.uint8),
        "keypoints": torch.tensor([[[(x + to_x) / 2, (y + to_y) / 2, 1.0]] * 17]),
    }
    return [torch.rand(3, size, size) for _ in range(2)], [target, target]


# ---- Before they are called ----------------------------------------------------------------------------------------


class _WithoutMemory(TorchFunctionMode):
    """Where layers make their parameters and buffers on the meta device; builders look at the values of all else."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        device = {"device": "meta"} if func in (torch.empty, torch.zeros, torch.ones) else {}
        return func(*args, **(kwargs or {}) | device)


def measured(network: Network) -> tuple[int, int]:
    """How many BatchNorm layers and how many parameters a network has, without the memory that it would need."""
    with _WithoutMemory():
        net = network.build()
    return sum(isinstance(part, _BatchNorm) for part in net.modules()), sum(p.numel() for p in net.parameters())


@cache
def replace_missing_operators() -> None:
    """Give torchvision what its detectors call, where it is beside a build of torch that its operators are not for."""
    torchvision_models()
    from torchvision import extension
    from torchvision.ops import boxes

    if not extension._has_ops():
        boxes.nms = non_maximum_suppression
        regions = importlib.import_module("torchvision.ops.roi_align")  # a function of this name hides the module
        regions._roi_align = regions._roi_align.__wrapped__  # it would be compiled for minutes


def non_maximum_suppression(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """torchvision.ops.nms: the best box, without those that overlap it, and so on."""
    from torchvision.ops.boxes import box_iou

    overlaps, kept = box_iou(boxes, boxes) > iou_threshold, []
    for place in scores.argsort(descending=True, stable=True).tolist():
        if not overlaps[place, kept].any():
            kept.append(place)
    return torch.tensor(kept, dtype=torch.long)
