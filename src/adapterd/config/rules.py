"""How adapters are proved: the section `validation`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from adapterd.config import checks
from adapterd.config.kinds import Device, Duration
from adapterd.config.section import Section

DType = Literal["auto", "float32", "bfloat16", "float16"]
Engine = Literal["peft", "transformers", "vllm", "sglang", "lorax"]


class Limits(Section):
    """What a measurement may be before an adapter is rejected."""

    max_loss_increase: float | None = Field(
        default=None,
        ge=0,
        description="Nats by which the loss on the probe texts may exceed the base's own; none: only recorded.",
        examples=[0.5],
    )
    max_loss: float | None = Field(
        default=None, gt=0, description="Largest loss on the probe texts, in nats; none: only recorded.", examples=[4.0]
    )
    min_effect: float = Field(
        default=0.0, ge=0, description="An adapter must change the weights by more than this, relative to their size."
    )
    max_effect: float = Field(
        default=10.0,
        gt=0,
        description="An adapter may change the median layer by no more than this, relative to the layer's own size,"
        " unless the loss is lower with it.",
    )
    expected_loss_tolerance: float = Field(
        default=0.25,
        gt=0,
        description="Nats by which the loss may differ from what the run's adapterd.yaml expects (`expect.loss`).",
    )


class Gate(Section):
    """A check of one's own, run on the frozen copy after the probes; no token is in its environment."""

    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = Field(
        description="Program, by its absolute path or its name on PATH, and arguments; `{snapshot}` in an argument is"
        " the folder of the frozen copy. A JSON object on its standard output goes into the report, and its numbers are"
        " published as measurements `gate.NAME`; any exit code but 0 refuses the version.",
        examples=[["/opt/checks/evaluate", "{snapshot}"]],
    )
    timeout: Duration = Field(
        default=600.0, gt=0, description="Longest time it may take; then it is killed, and a person must act."
    )


class Validation(Section):
    """How adapters are proved in their base model. A change starts a new policy."""

    devices: Annotated[tuple[Device, ...], AfterValidator(checks.distinct)] = Field(
        default=("auto",),
        min_length=1,
        description="Devices to validate on, in order of preference; auto: the GPU if the base fits, else the CPU.",
    )
    dtype: DType = Field(default="auto", description="Type to compute in; auto: the base's own.")
    probe_texts: tuple[Annotated[str, Field(min_length=1, max_length=10_000)], ...] = Field(
        default=(),
        max_length=64,
        description="Texts that the loss is measured on; empty: the built-in ones. Their wording is never published.",
        examples=[["Dear customer, thank you for your message."]],
    )
    probe_tokens: int = Field(default=64, ge=2, le=8192, description="Tokens of each probe text that are used.")
    limits: Limits = Field(default=Limits(), description=Limits.__doc__)
    deadline: Duration = Field(
        default=600.0, gt=0, description="Longest time for one validation; then the worker is killed."
    )
    max_wait: Duration = Field(
        default=900.0,
        ge=0,
        description="How long a version waits for each busy device of the list before the next one may be used.",
    )
    too_large: Literal["stall", "structural"] = Field(
        default="stall",
        description="What becomes of an adapter whose base no listed device can ever hold: wait for a person, or pass"
        " on files, keys and shapes alone, which manifest and card then say.",
    )
    gates: tuple[Gate, ...] = Field(default=(), max_length=16, description=Gate.__doc__)
    require_engines: Annotated[tuple[Engine, ...], AfterValidator(checks.distinct)] = Field(
        default=(),
        description="Serving engines that must take an adapter, or it is refused; for the others the report warns.",
        examples=[["vllm"]],
    )
    convert_pickle: bool = Field(
        default=False,
        description="Convert an adapter that was saved as a pickle alone into safetensors, in a process of its own"
        " that unpickles tensors only; false: such an adapter is refused.",
    )
    idle_exit: Duration = Field(
        default=300.0, ge=0, description="Idle time after which the worker ends and gives all its memory back."
    )
    threads: int = Field(default=1, ge=0, le=1024, description="CPU threads of the worker; 0: the library's default.")
    local_base: bool = Field(
        default=False,
        description="Publish adapters whose base model has no Hub id, with the base's revision as `local`.",
    )
