"""The numbers that the paper prints: its tables and figures, and of its text whatever is used more than once.

Source: Ioffe and Szegedy (2015), arXiv 1502.03167. Nothing here is measured by this book.
"""

import math

MNIST_STEPS = 50_000  # section 4.1
MNIST_BATCH = 60  # section 4.1
BATCH = 32  # section 4.2
RATE = 0.0015  # of Inception and BN-Baseline, section 4.2.2
INCEPTION_PARAMETERS = 13_600_000  # section 4.2
GROWTH = {"parameters": 25, "multiply_adds": 30}  # percent, from GoogLeNet to Figure 5, appendix

# Figure 3: millions of steps to 72.2%, and the largest validation accuracy in percent.
FIGURE_3 = {
    "inception": (31.0, 72.2),
    "bn_baseline": (13.3, 72.7),
    "bn_x5": (2.1, 73.0),
    "bn_x30": (2.7, 74.8),
    "bn_x5_sigmoid": (math.inf, 69.8),
}
PEAK = 6.0  # million steps of BN-x30 to its maximum, section 4.2.2
MEMBER_PEAK = 6.0  # the same, about, of a network of the ensemble, section 4.2.3
# Figure 4: errors in percent on the validation images of ImageNet, top-1 (not every source gives it) and top-5.
FIGURE_4 = {"single": (25.2, 7.82), "multicrop": (21.99, 5.82), "ensemble": (20.1, 4.9)}
PRIOR = {
    "googlenet": (None, 6.67),
    "deep image low": (None, 7.96),
    "deep image high": (24.88, 7.42),
    "deep image ensemble": (None, 5.98),
}
SERVER = {"he": 4.94, "ours": 4.82}  # top-5 errors on the test images, section 4.2.3
TRAINING_IMAGES, TEST_IMAGES = 1_281_167, 100_000  # of ImageNet; the second is what SERVER's errors are of
