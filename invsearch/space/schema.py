"""The sections of a space file as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from invsearch.errors import nearest
from invsearch.metrics import Direction
from invsearch.plugins import (
    AUGMENTATIONS,
    DECODERS,
    EXECUTORS,
    PROXIES,
    RUNTIMES,
    SEARCH_CALLBACKS,
    STRATEGIES,
)
from invsearch.space.values import (
    Device,
    Gpus,
    Name,
    Number,
    Real,
    Reference,
    Resource,
    Scalar,
    Storage,
    TargetName,
    TrainingDevice,
    Whole,
    auto_or,
    auto_or_row_of,
    row_of,
)
from invsearch.space.yaml_file import show

__all__ = [
    "Accuracy",
    "Bound",
    "Cluster",
    "Entry",
    "Latency",
    "Model",
    "OnTarget",
    "Proxy",
    "Replace",
    "Search",
    "Sections",
    "Stop",
    "Supernet",
    "Timing",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Bound(_Section):
    """The ends a metric must keep between; at least one is given."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Bound:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


_OWN_MODEL = ("builder", "timm", "arguments", "replace", "canonical")
"""Keys of ``model`` that say what somebody else's networks are."""


class Replace(_Section):
    """Which convolutions of an own model make room for an operator; further keys set that one.

    A value such as ``$kernel`` is that of the parameter of this name.
    """

    model_config = ConfigDict(extra="allow")

    match: str = Field(
        min_length=1, description="Pattern of the convolutions' names, such as '*.conv_dw'."
    )
    operator: str = Field(min_length=1, description="A registered operator, keep, or $NAME.")
    stage: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None, description="Of a network whose feature_info tells its stages, as timm's."
    )

    @property
    def settings(self) -> dict[str, Any]:
        """What it says of the operator."""
        return dict(self.model_extra or {})


class Model(_Section):
    """The networks that are searched; what may vary may also be held constant here.

    Further keys are constants: ``operator`` and any hyperparameter of a registered operator. With
    ``builder`` or ``timm`` the networks are somebody else's, and there are none.
    """

    model_config = ConfigDict(extra="allow")

    family: Scalar | None = None
    builder: Reference | None = Field(
        default=None, description="package.module:function, from the parameters to a torch module."
    )
    timm: Name | None = Field(default=None, description="A name that timm.create_model knows.")
    arguments: dict[Name, Scalar] = Field(
        default={}, description="What builder or timm is given beside what varies."
    )
    replace: tuple[Replace, ...] = Field(
        default=(), strict=False, description="Convolutions in whose place operators are put."
    )
    canonical: Literal["parameters", "built"] = Field(
        default="parameters",
        description="built: parameters that build the same network are one architecture.",
    )
    resolution: Whole = Field(
        default=224, ge=1, description="Side of the images that costs are for."
    )
    num_classes: Whole = Field(default=1000, ge=1)
    in_channels: Whole = Field(default=3, ge=1)
    operators: tuple[str, ...] = Field(
        default=(),
        description="Files (*.py) or modules that register further operators.",
        strict=False,
    )

    def constants(self) -> dict[str, Any]:
        """What :func:`invsearch.models.network_spec` takes as its model."""
        left_out = ("resolution", "operators", *_OWN_MODEL)
        return {k: v for k, v in self if k not in left_out and v is not None}

    @property
    def own(self) -> str:
        """What says whose the networks are, where they are somebody else's: a key of this."""
        return "builder" if self.builder is not None else "timm" if self.timm is not None else ""

    def identity(self) -> dict[str, Any]:
        """What decides the networks, as plain data; older runs have no keys of own models."""
        left_out = {"operators"} if self.own else {"operators", *_OWN_MODEL}
        return self.model_dump(mode="json", exclude=left_out)


class Proxy(_Section):
    """The scale at which a searched network is trained, relative to its own."""

    width: Real = Field(default=0.25, gt=0, le=4)
    resolution: Whole | None = Field(
        default=None, ge=4, description="Pixels; null: the images' own."
    )
    stem_stride: Literal[1, 2] = 1
    pool: bool = Field(default=False, description="Whether the stem keeps its max pooling.")


class Supernet(_Section):
    """How the supernet of ``accuracy.sources`` is trained; all else is as for the networks."""

    epochs: Whole | None = Field(
        default=None, ge=1, description="null: as many as six networks take together."
    )


JUDGES = ("trained", "published")
"""The sources that an objective may come from; all others are hints to the search."""


def _source(value: Any) -> Any:
    allowed = (*JUDGES, "supernet", "proxy", *PROXIES)
    if value not in allowed:
        hint = nearest(value, allowed)
        raise ValueError(f"cannot be {show(value)}{hint}; allowed: {', '.join(allowed)}")
    return value


class Accuracy(_Section):
    """Where accuracy comes from, and the recipe when it is trained."""

    source: Literal["trained", "published", "supernet", "proxy"] = Field(
        default="trained",
        description="supernet and proxy: trained, with such hints; short for sources.",
    )
    sources: tuple[Annotated[str, BeforeValidator(_source)], ...] = Field(
        default=(),
        strict=False,
        description="trained, and what gives the search hints: proxies by name, proxy for all of"
        " them, supernet (experimental).",
    )
    supernet: Supernet = Supernet()
    dataset: str = Field(
        default="digits",
        min_length=1,
        description="The name of one, a folder, a file (*.npz, *.csv) or package.module:function.",
    )
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="Where a named data set is; null: where it is looked for.",
    )
    stream: bool | None = Field(
        default=None,
        description="Decode images batch by batch; null: where they would not fit into memory.",
    )
    decoder: Annotated[str, BeforeValidator(row_of(DECODERS))] = Field(
        default="auto",
        description="auto (pillow), pillow; for JPEG torchvision, turbojpeg: other roundings.",
    )
    epochs: Whole = Field(default=6, ge=1)
    batch_size: Whole = Field(default=64, ge=2)
    accumulate: Whole = Field(default=1, ge=1, description="Parts in which a step is computed.")
    optimizer: Literal["adamw", "sgd", "lion", "muon"] = Field(
        default="adamw", description="lion and muon: of the extra optimizers."
    )
    lr: Real = Field(default=5e-3, gt=0)
    weight_decay: Real = Field(default=0.05, ge=0, description="Of kernels and matrices.")
    norm_decay: Real = Field(default=0.0, ge=0, description="Of scales and shifts of norms.")
    bias_decay: Real = Field(default=0.0, ge=0, description="Of biases.")
    decay: dict[str, Annotated[Real, Field(ge=0)]] = Field(
        default_factory=dict, description="By patterns of parameters' names; the first match wins."
    )
    warmup: Real = Field(default=0.1, ge=0, lt=1, description="Fraction of the steps.")
    warmup_from: Real = Field(
        default=0.0, ge=0, le=1, description="Where the warm-up begins, as a fraction of lr."
    )
    clip: Real = Field(default=5.0, gt=0, description="Largest norm of the gradient.")
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)
    augment: bool = False
    cutout: Real = Field(
        default=0.0, ge=0, lt=1, description="Side of the square cut out, of the image's."
    )
    crop: Real = Field(
        default=0.0, ge=0, le=1, description="Least share of an image that a random crop shows."
    )
    colour: Real = Field(
        default=0.0, ge=0, le=1, description="Change of brightness, contrast and saturation."
    )
    randaugment: Real = Field(default=0.0, ge=0, le=30, description="Magnitude, of 30.")
    randaugment_operations: Whole = Field(default=2, ge=1, le=10)
    erasing: Real = Field(
        default=0.0, ge=0, le=1, description="Share of the images that lose a random box."
    )
    mixup: Real = Field(default=0.0, ge=0, le=10, description="Alpha.")
    cutmix: Real = Field(default=0.0, ge=0, le=10, description="Alpha.")
    augmentations: dict[
        Annotated[str, BeforeValidator(row_of(AUGMENTATIONS))], Annotated[Real, Field(ge=0)]
    ] = Field(default_factory=dict, description="Strengths of further ones, by name: of packages.")
    ema: Real = Field(
        default=0.0, ge=0, lt=1, description="Decay of the average of the weights; 0: none."
    )
    device: TrainingDevice = Field(
        default="auto",
        description="auto (a GPU where a worker has one, else its CPU), cpu, cuda, cuda:N",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 on a GPU, fp32 on a CPU."
    )
    compile: bool = Field(default=False, description="torch.compile, for training.")
    data_fraction: Real = Field(default=1.0, gt=0, le=1)
    proxy: Proxy = Proxy()
    baselines: bool = Field(default=True, description="Train the families' known networks too.")

    @model_validator(mode="after")
    def _one_judge(self) -> Accuracy:
        if not self.sources:
            if "sources" in self.model_fields_set:
                raise ValueError("sources is empty: leave it out, or name trained and what hints")
            return self
        if "source" in self.model_fields_set:
            raise ValueError("source and sources say the same: keep one")
        judges = [name for name in self.sources if name in JUDGES]
        if len(judges) != 1:
            raise ValueError(
                "sources needs exactly one of trained and published, which gives the numbers; all "
                "others are hints to the search and never stand on a front"
            )
        if judges == ["published"] and len(self.sources) > 1:
            raise ValueError("sources cannot have hints beside published, which needs no search")
        return self

    @property
    def judge(self) -> str:
        """The source that objectives come from."""
        return next((name for name in (*self.sources, self.source) if name in JUDGES), "trained")

    @property
    def hints(self) -> tuple[str, ...]:
        """What gives hints to the search: ``supernet`` and rows of the proxies, each once."""
        named = [name for name in self.sources or (self.source,) if name not in JUDGES]
        every = [one for name in named for one in (PROXIES.ours() if name == "proxy" else (name,))]
        return tuple(dict.fromkeys(every))


class Timing(_Section):
    """How networks are run where they are timed: the number is of this and of nothing else."""

    device: Device = Field(default="cpu", description="cpu, cuda, cuda:N")
    batch_size: Whole = Field(default=1, ge=1)
    threads: Whole = Field(default=1, ge=1)
    resolution: Whole | None = Field(default=None, ge=1, description="null: the model's.")
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    runtime: Annotated[str, BeforeValidator(row_of(RUNTIMES))] = Field(
        default="torch", description=f"What runs the network: {RUNTIMES}."
    )
    table: bool | Annotated[str, Field(min_length=1)] = Field(
        default=False,
        description="Measure every distinct block first, and predict each candidate's latency;"
        " or the file of a table that was measured on the device.",
    )
    undisturbed: bool | None = Field(
        default=None,
        description="Whether a disturbed measurement is rejected and taken again;"
        " null: on targets alone.",
    )

    @model_validator(mode="before")
    @classmethod
    def _compiled(cls, data: Any) -> Any:
        """Read ``compile: true`` as the runtime of that name."""
        if not isinstance(data, dict) or "compile" not in data:
            return data
        rest = {key: value for key, value in data.items() if key != "compile"}
        if not isinstance(data["compile"], bool):
            raise ValueError(f"compile must be true or false, not {show(data['compile'])}")
        if "runtime" in rest and data["compile"]:
            raise ValueError("compile and runtime say the same: keep runtime")
        return {**rest, "runtime": "compiled"} if data["compile"] else rest


class OnTarget(Timing):
    """One target of a search: a device, and how networks are run there."""

    resource: str | None = Field(
        default=None,
        min_length=1,
        description="Of the Ray node that has the device, such as accelerator_type:A100;"
        " null: the driver's machine.",
    )


class Latency(Timing):
    """How latency is measured: ``latency_ms`` by this, ``latency_ms@NAME`` by a target."""

    targets: dict[TargetName, OnTarget] = {}


class Plateau(_Section):
    """When a search finds no more."""

    trials: Annotated[Whole, Field(ge=1)] = Field(description="The last ones that are looked at.")
    gain: Real = Field(
        default=0.01, gt=0, lt=1, description="Least share of the hypervolume that they add."
    )


class Stop(_Section):
    """What ends a search before its trials are spent; what is under way then ends by itself."""

    hours: Real | None = Field(default=None, gt=0, description="Of evaluations, over all resumes.")
    plateau: Plateau | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Stop:
        if self.hours is None and self.plateau is None:
            raise ValueError("needs hours, plateau or both")
        return self


class Search(_Section):
    """How the space is searched."""

    strategy: Annotated[str, BeforeValidator(row_of(STRATEGIES))] = "cost_aware"
    trials: Whole = Field(default=32, ge=1)
    seed: Whole = Field(default=0, ge=0, lt=2**32)
    parallel: Annotated[Literal["auto"] | int, BeforeValidator(auto_or(1))] = "auto"
    executor: Annotated[str, BeforeValidator(auto_or_row_of(EXECUTORS))] = Field(
        default="auto", description=f"Where trials run: auto (serial or ray), {EXECUTORS}."
    )
    rungs: tuple[Annotated[Whole, Field(ge=1)], ...] = Field(
        default=(), description="Epochs after which weak trials stop.", strict=False
    )
    replicates: Annotated[Whole, Field(ge=0, description="Further seeds of doubtful members.")] = 0
    early_replicates: Annotated[
        Literal["auto"] | int,
        BeforeValidator(auto_or(0)),
        Field(description="Second seeds of the first trials: what do seeds do? auto: a fifth."),
    ] = "auto"
    warm_start: Annotated[
        tuple[str, ...], Field(strict=False, description="Earlier runs that guide cost_aware.")
    ] = ()
    reduction_factor: Real = Field(default=2.0, gt=1)
    promote: bool = Field(
        default=False, description="What stopped at a rung goes on when it is among the best."
    )
    storage: Storage | None = Field(
        default=None,
        description="postgresql://USER@HOST:PORT/DATABASE, where several drivers share a study.",
    )
    deterministic: bool = False
    timeout: Real | None = Field(default=None, gt=0, description="Seconds of the whole search.")
    trial_timeout: Real | None = Field(
        default=None, gt=0, description="Seconds of each trial, which fails when they are over."
    )
    stop: Stop | None = None
    callbacks: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        strict=False,
        description=f"Who follows it: {SEARCH_CALLBACKS}, or package.module:Class.",
    )
    max_failures_in_row: Whole | None = Field(
        default=None, ge=1, description="Ends the search after so many."
    )

    @model_validator(mode="after")
    def _rising(self) -> Search:
        if list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs {list(self.rungs)} must rise")
        return self


class Cluster(_Section):
    """Where trials run."""

    address: str | None = None
    cpus_per_trial: Real = Field(default=1, gt=0)
    gpus_per_trial: Gpus = Field(
        default=0, ge=0, description="A fraction shares one; above 1 a whole number."
    )
    resources: dict[Resource, Annotated[Real, Field(gt=0)]] = Field(
        default={}, description="Amounts of what nodes were started with by --resources."
    )
    storage_path: str | None = Field(
        default=None, description="Shared by all nodes, for checkpoints."
    )
    autoscale: bool = Field(
        default=False, description="The cluster adds nodes by itself for what none has now."
    )
    lease: Real = Field(
        default=30.0,
        gt=0,
        description="Seconds without a sign of life after which the executor folder gives a "
        "worker's trial to another.",
    )
    unauthenticated: bool = Field(
        default=False, description="A cluster on the network that asks for no token will do."
    )


class Entry(_Section):
    """What one parameter may be: ``choice``, or ``range`` with ``step`` or ``log``."""

    choice: list[Scalar] | None = Field(default=None, min_length=1)
    range: list[Number] | None = Field(default=None, min_length=2, max_length=2)
    step: Annotated[Number, Field(gt=0)] | None = None
    log: bool | None = None
    when: dict[str, Any] | None = None


class Sections(_Section):
    """A whole space file."""

    name: Name
    objectives: dict[Name, Direction] = Field(min_length=1, max_length=4)
    constraints: dict[str, Bound] = {}
    model: Model | None = None
    space: dict[str, Any] | None = Field(default=None, min_length=1)
    params: dict[Name, Any] | None = Field(default=None, min_length=1)
    evaluator: Reference | None = None
    costs: Reference | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    search: Search = Search()
    cluster: Cluster = Cluster()
