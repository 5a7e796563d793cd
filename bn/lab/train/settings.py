"""What one network is trained with: a setting of section 4.1, a recipe of section 4.2. With a seed it is a run."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Setting:
    """What one network is trained with; a run is a setting and a seed.

    - `optimizer`: one of `bn.lab.train.optimizers.OPTIMIZERS`.
    - `studied`: whether more than accuracies is measured on the way: the inputs of its last hidden sigmoids and, with
      BN, the statistics of the population.
    """

    network: str  # "plain" or "bn"
    dataset: str
    steps: int
    every: int  # steps between two evaluations
    batch: int
    learning_rate: float
    weight_std: float
    optimizer: str = "sgd"
    studied: bool = True

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.network

    @property
    def alike(self) -> "Setting":
        """The same for all settings whose networks may train at once; one of torch's optimizers has one rate."""
        return replace(self, learning_rate=0 if self.optimizer == "sgd" else self.learning_rate, weight_std=0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one network is trained with. The defaults are those of Inception: nothing of section 4.2.1.

    - `modules`: those of Figure 5 that are built, all where it is empty.
    - `halflife`: steps in which the learning rate halves (the paper: exponential decay).
    - `l2`: λ of λ/2 ‖w‖², over the weights of convolutions and the softmax layer; the change `l2` makes it a fifth,
      4e-5, which Google's later Inceptions were trained with.
    - `distortion`: strength of the photometric distortion, 0.5 in Howard (2013).
    - `shuffled`: within-shard shuffling; without it each mini-batch has the same examples in every epoch.
    - `classes`: the first so many by name, where a folder of photographs has more.
    - `examples`: how many images it trains on, spread evenly over the training part, 0 for all.
    - `watched`: how many validation images the curve is of, and test images a prediction, 0 for all.
    """

    dataset: str
    pixels: int
    classes: int
    width: float
    modules: tuple[str, ...]
    batch_norm: bool = False
    activation: str = "relu"
    lrn: bool = True
    dropout: float = 0.4
    steps: int
    every: int  # steps between two evaluations
    learning_rate: float
    halflife: float
    l2: float = 2e-4
    distortion: float = 0.5
    shuffled: bool = False
    shards: int
    precision: str  # "float32" or "bfloat16"
    examples: int = 0
    watched: int
    batch: int
    momentum: float = 0.9
    weight_scale: float = 1.0
    per_activation: bool = False

    @property
    def name(self) -> str:
        """What its files are called."""
        return "inception-bn" if self.batch_norm else "inception-plain"
