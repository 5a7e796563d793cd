"""The figure's numbers typed by hand, and its convolutions, for the tests of the network and of its counts."""

# Typed again from the paper, by another hand than the table: (1×1, 3×3 reduce, 3×3, reduce, double 3×3, projection)
MODULES = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
# What the widths and strides make of it: 3c and 4e halve the image, 4c and 4d have 608 channels and 4e 448 more.
BUILT = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "conv2": (192, 56, 56),
    "pool2": (192, 28, 28),
    "3a": (256, 28, 28),
    "3b": (320, 28, 28),
    "3c": (576, 14, 14),
    "4a": (576, 14, 14),
    "4b": (576, 14, 14),
    "4c": (608, 14, 14),
    "4d": (608, 14, 14),
    "4e": (1056, 7, 7),
    "5a": (1024, 7, 7),
    "5b": (1024, 7, 7),
    "pool": (1024, 1, 1),
}
PIXELS = {"conv1": 112, "conv2": 56} | {name: BUILT[name][1] for name in MODULES}


def convolutions() -> list[tuple[str, int, int, int, int]]:
    """Every convolution of Figure 5: (row, inputs, outputs, patch, pixels of its output in one direction)."""
    layers = [("conv1", 3, 64, 7, 112), ("conv2", 64, 64, 1, 56), ("conv2", 64, 192, 3, 56)]
    inputs, before = 192, 28
    for name, (one, reduce3, three, reduce5, double, proj) in MODULES.items():
        after = PIXELS[name]
        layers += [(name, inputs, reduce3, 1, before), (name, reduce3, three, 3, after)]
        layers += [(name, inputs, reduce5, 1, before), (name, reduce5, double, 3, before)]
        layers += [(name, double, double, 3, after)]
        layers += [(name, inputs, width, 1, after) for width in (one, proj) if width]
        inputs, before = one + three + double + (proj or inputs), after
    return layers
