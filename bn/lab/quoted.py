"""What the paper's text says in numbers, beside the tables and figures in `paper`; and three numbers of others.

Apart from `paper`, because counts and measurements depend on that and on none of these. Source: Ioffe and Szegedy
(2015), arXiv 1502.03167v3, by section. Nothing here is measured by this book.
"""

ABSTRACT = {"validation": 4.9, "test": 4.8}  # top-5 errors of the ensemble in percent
FACTORS = {"bn_x5": 5, "bn_x30": 30}  # times the rate of Inception, section 4.2.2
RATES = {"bn_x5": 0.0075, "bn_x30": 0.045}  # the same as it is printed there
L2_FACTOR = 5  # by which the weight of the L2 loss is reduced, section 4.2.1
DOUBLE_AT_MOST = 128  # filters of the two 3×3 convolutions, section 4.2
# Not in the paper: training images of MNIST as published (LeCun et al.); the top-5 error in percent of an expert on
# images of ImageNet's test set, and how many he classified (Russakovsky et al.).
MNIST_IMAGES = 60_000
HUMAN, HUMAN_IMAGES = 5.1, 1_500
