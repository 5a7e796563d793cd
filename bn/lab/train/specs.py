"""The parameters that several chapters share: of the sigmoid networks of section 4.1, and of the Inceptions of 4.2."""

from dataclasses import dataclass, replace
from typing import ClassVar

from bn.lab import paper
from bn.lab.architectures import SMALLEST
from bn.lab.data import datasets
from bn.lab.spec import RATE, ParameterError, Spec, number, whole
from bn.lab.train import recipes
from bn.lab.train.settings import Recipe, Setting


@dataclass(frozen=True)
class Size:
    """How much work a scale is."""

    steps: int
    seeds: int


# Of handwritten digits by scale and data set, where a chapter has no sizes of its own.
SIZES = {
    ("smoke", "digits"): Size(60, 2),
    ("smoke", "mnist"): Size(60, 2),
    ("cpu", "digits"): Size(10_000, 3),
    ("cpu", "mnist"): Size(paper.MNIST_STEPS, 3),
    ("gpu", "digits"): Size(10_000, 10),
    ("gpu", "mnist"): Size(paper.MNIST_STEPS, 10),
    ("paper", "mnist"): Size(paper.MNIST_STEPS, 5),
}


# Of section 4.2. How many images the whole data set has to train on; the validation images are not among them. A folder
# may hold a part of it: then a mini-batch is checked again when it is read, and the record says how large the part is.
IMAGES = datasets.TRAINING_IMAGES | {"tiny-imagenet": 90_000, "imagenet": paper.TRAINING_IMAGES - 50_000}
# More pixels add nothing to images that have 8, 28, 64 or some 400, and those of digits are kept in memory.
PIXELS = {"digits": 64, "mnist": 64, "tiny-imagenet": 224, "imagenet": 512}
WIDTH = 0.001, 4  # from one channel in each layer to sixteen times Figure 5's parameters: 0.9 GB


@dataclass(frozen=True, kw_only=True)
class DigitSpec(Spec):
    """The parameters of a chapter that trains on handwritten digits: MNIST where it is, else scikit-learn's."""

    sizes: ClassVar[dict] = SIZES

    def resolved(self) -> str:
        """MNIST for `auto` where it is in the data folder, else digits."""
        return datasets.resolve(self.dataset)

    def no_size(self) -> str:
        """The only size that is missing is the paper's own, of digits."""
        return (
            f"scale '{self.scale}' needs MNIST, but the data set is {self.dataset}: run `make data`, "
            "or point BN_DATA at the folder that holds MNIST/raw, or choose scale 'cpu'"
        )

    @property
    def papers_own_size(self) -> bool:
        """Whether the networks train on MNIST for as long as in the paper."""
        return self.steps >= paper.MNIST_STEPS and self.dataset == "mnist"

    def setting(
        self, network: str, steps: int, learning_rate: float, weight_std: float, evaluations: int = 100
    ) -> Setting:
        """One network of section 4.1 on this specification's data, evaluated so many times."""
        every = max(1, steps // evaluations)
        return Setting(network, self.dataset, steps, every, paper.MNIST_BATCH, learning_rate, weight_std)


@dataclass(frozen=True, kw_only=True)
class ImageSpec(Spec):
    """The parameters of a chapter that trains the networks of section 4.2, whose sizes are in `bn.lab.train.recipes`.

    `learning_rate` is that of Inception and of BN-Baseline; where it is not given, the best of a sweep on validation
    images, at scale `paper` the paper's. Other `batch`es see as many images. `auto` is digits, at the larger scales
    Tiny ImageNet and ImageNet.
    """

    sizes: ClassVar[dict] = recipes.SIZES

    learning_rate: float | None = None
    batch: int = paper.BATCH
    width: float | None = None
    pixels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(width=self.size.width if self.width is None else self.width)
        self._set(pixels=self.size.pixels if self.pixels is None else self.pixels)
        if self.learning_rate is None and not self.size.rates:
            self._set(learning_rate=paper.RATE)
        if self.learning_rate is not None:
            number("learning_rate", self.learning_rate, *RATE)
        elif spent := sorted(set(self.seeds) & set(self.size.choosing)):
            raise ParameterError(
                f"seeds must not contain {', '.join(map(str, spent))}, by which the learning rate is chosen: "
                "take others, or give learning_rate"
            )
        recipe = recipes.inception(self.size, self.dataset, paper.RATE)
        images = recipe.examples or IMAGES[self.dataset] * recipe.classes // recipes.CLASSES[self.dataset]
        largest = images // recipe.shards
        whole("batch", self.batch, 2, largest, also=f", the training images of a shard of {self.dataset}")
        number("width", self.width, *WIDTH)
        whole("pixels", self.pixels, SMALLEST, PIXELS[self.dataset], also=f" for {self.dataset}")

    def resolved(self) -> str:
        """The data set of the scale where none is named."""
        return recipes.DATASETS[self.scale] if self.dataset == "auto" else self.dataset

    @property
    def papers_own_size(self) -> bool:
        """Whether the paper's network is trained on ImageNet for as long as in the paper."""
        whole_network = (self.width, self.pixels) == (self.size.width, self.size.pixels)
        return self.scale == "paper" and whole_network and self.steps >= self.size.steps

    def base(self, learning_rate: float) -> Recipe:
        """Inception at this specification's size, from which all other networks follow."""
        size = replace(self.size, width=self.width, pixels=self.pixels)
        recipe = recipes.inception(size, self.dataset, learning_rate, self.steps)
        return recipe if self.batch == paper.BATCH else recipes.resized(recipe, self.batch)

    def seeds_of(self, network: str) -> tuple[int, ...]:
        """The seeds of one network: the first of them where the size counts them out, else all."""
        return self.seeds[: self.size.counts.get(network)]
