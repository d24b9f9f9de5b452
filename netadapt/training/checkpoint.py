"""Checkpoints: one ``.safetensors`` file with the weights and the facts to rebuild the network."""

import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.factories import from_file, require_trusted, trust
from netadapt.files import existing_file, write_atomic
from netadapt.models import MODELS, ModelSpec, build, read_weights, with_output
from netadapt.models.initialise import initialise
from netadapt.models.inputs import INPUT, MAX_INPUTS, input_channels, named_example
from netadapt.models.outputs import OUTPUT
from netadapt.models.registry import READERS
from netadapt.models.weights import CHECKPOINT_KEY as KEY
from netadapt.models.weights import read_published
from netadapt.pruning import PrunableModel, reshaped
from netadapt.pruning.attention import stored_name
from netadapt.wording import first_problem

OPTIMIZER = "optimizer/"
MAX_METADATA = 2**20  # characters
DEFAULT_INPUT_SIZE = (224, 224)

Channels = Annotated[int, Field(ge=0, le=65536)]  # 0: a block that is dropped
Side = Annotated[int, Field(ge=1, le=4096)]
InputOption = Annotated[str, Field(max_length=1000, pattern=f"^(?:{INPUT.pattern})$")]
Info = Mapping[str, str | float | int]
ONNX = ".onnx"
LATER = ("inputs", "output")  # fields that are written only where they say something


class _Metadata(BaseModel):
    """The metadata of a checkpoint, as JSON under ``netadapt`` in the safetensors header."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

    format: Literal[1]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    options: dict[str, JsonValue]
    widths: dict[str, Channels] | None
    input_size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None
    info: dict[str, str | int | float]
    inputs: Annotated[list[InputOption], Field(max_length=MAX_INPUTS)] | None = None
    output: Annotated[str, Field(max_length=256, pattern=f"^(?:{OUTPUT.pattern})$")] | None = None
    checksum: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = None

    def text(self, *without: str) -> str:
        """The JSON that is written, without what files of earlier versions do not have."""
        absent = {name for name in LATER if getattr(self, name) is None}
        return self.model_dump_json(exclude={*without, *absent})

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.input_size is None else (self.input_size[0], self.input_size[1])


def save_checkpoint(
    model: nn.Module,
    path: Path | str,
    *,
    input_size: tuple[int, int] | None = None,
    info: Info | None = None,
    moments: Mapping[str, Tensor] | None = None,
) -> None:
    """Write ``model`` to ``path``; if that fails, nothing is left behind.

    Args:
        model: a network that :func:`netadapt.load_model` built, or one pruned from it.
        path: the file, ``.safetensors``.
        input_size: ``(H, W)`` it was trained at. Default: that of ``model.spec``. A network that
            takes anything but one image has its inputs in ``model.spec`` instead.
        info: facts to store with it, such as its score.
        moments: the optimizer's moments, if the training is to be continued.

    Raises:
        UserError: the network has no record of how it was built, its options are not JSON, it was
            pruned and has no input size, or the file cannot be written.
    """
    path = Path(path)
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise UserError(
            f"cannot save {type(model).__name__}: it has no record of how it was built; "
            "build it with netadapt.load_model"
        )
    size = input_size or spec.input_size
    if spec.widths is not None and size is None and not spec.inputs:
        raise UserError(f"cannot save a pruned {spec.name} without its input size; give one")
    if path.suffix != ".safetensors":
        raise UserError(f"checkpoint {path} must be named *.safetensors")
    try:
        metadata = _Metadata(
            format=1,
            model=spec.name,
            options=dict(spec.options),
            widths=None if spec.widths is None else dict(spec.widths),
            input_size=None if size is None else list(size),
            info=dict(info or {}),
            inputs=list(spec.inputs) or None,
            output=spec.output,
        )
    except ValidationError as error:
        raise UserError(f"cannot save {spec.name}: {first_problem(error)}") from error
    tensors = dict(model.state_dict())
    tensors |= {OPTIMIZER + name: moment for name, moment in (moments or {}).items()}
    plain = {name: _plain(tensor) for name, tensor in tensors.items()}
    metadata = metadata.model_copy(update={"checksum": _checksum(metadata, plain)})
    write_atomic(path, serialised(plain, {KEY: metadata.text()}))


def load_checkpoint(path: Path | str) -> nn.Module:
    """Rebuild the network of a checkpoint, in eval mode on the CPU, with ``spec`` filled in.

    Nothing in the file is executed. A network named ``package.module:factory`` is built only if
    the user has named or trusted that factory (see :func:`netadapt.trust`). Options that download
    weights are dropped.

    Raises:
        UserError: there is no such file, it is no checkpoint or is damaged, its factory is not
            trusted, or its tensors do not fit the network that it names.
    """
    path = Path(path)
    metadata = _read_metadata(path)
    require_trusted(metadata.model, "model", f"checkpoint {path}")
    _check_whole(path, metadata)
    try:
        model = build(metadata.model, **from_file(metadata.options))
        if metadata.output is not None:
            with_output(model, metadata.output)
        if metadata.widths is not None:
            model = reshaped(model, _example(model, metadata), metadata.widths)
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from error
    return _with_weights(model, path, metadata)


def _example(model: nn.Module, metadata: _Metadata) -> Any:
    if metadata.inputs:
        return named_example(metadata.inputs, model)
    return torch.zeros(1, input_channels(model), *(metadata.size or DEFAULT_INPUT_SIZE))


def load_pruned(path: Path | str, base: PrunableModel) -> nn.Module:
    """Load a network that was pruned from ``base``, without building or tracing it.

    Raises:
        UserError: as ``load_checkpoint``, or ``base`` cannot be pruned to its widths.
    """
    path = Path(path)
    metadata = _read_metadata(path)
    _check_whole(path, metadata)
    try:
        known, widths = base.widths, metadata.widths or {}
        # what an earlier pruning named and this base does not prune follows from what it does
        own = getattr(base.model.spec, "widths", None) or {}
        model = base.pruned({n: w for n, w in widths.items() if n in known or n not in own})
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from error
    return _with_weights(model, path, metadata)


def _with_weights(model: nn.Module, path: Path, metadata: _Metadata) -> nn.Module:
    model.load_state_dict(_fitting_tensors(path, model))
    spec = model.spec
    assert isinstance(spec, ModelSpec)
    model.spec = replace(spec, input_size=metadata.size, inputs=tuple(metadata.inputs or ()))
    return model.eval()


def checkpoint_info(path: Path | str) -> dict[str, str | int | float]:
    """Return the facts that were saved with a checkpoint."""
    return _read_metadata(Path(path)).info


def load_moments(path: Path | str) -> dict[str, Tensor]:
    """Return the optimizer's moments that were saved with a checkpoint, if any."""
    path = Path(path)
    with _opened(path) as file:
        names = [name for name in file.keys() if name.startswith(OPTIMIZER)]  # noqa: SIM118
        return {name.removeprefix(OPTIMIZER): file.get_tensor(name) for name in names}


def is_file_reference(ref: str) -> bool:
    """Whether ``ref`` names a file with weights, and not a network to be built."""
    if ref in MODELS:
        return False
    path = Path(ref)
    return path.suffix in (".safetensors", *READERS) or path.exists() or ":" not in ref


def load_model(
    ref: str | Path,
    *,
    factory: str | None = None,
    init_from: str | Path | None = None,
    output: str | None = None,
    deployed: bool = False,
    **options: Any,
) -> nn.Module:
    """Return a network by its name or from a file.

    Args:
        ref: a name of the registry (fresh weights); ``package.module:factory`` (the weights that
            the factory sets); or the path of a file, which is loaded in eval mode: a checkpoint
            (``.safetensors``), the authors' FastDepth (``.pth.tar``), or an exported ``.onnx``.
        factory: the ``package.module:factory`` that a checkpoint may call; needed for networks
            that are not of the registry, unless it is named or trusted elsewhere
            (:func:`netadapt.trust`).
        init_from: a file with weights for a network given by name: a checkpoint, also one of other
            widths, a safetensors file or a state dict, with the network's own names or timm's.
            Layers that fit by name and shape are loaded; one line on stderr says how many were
            and which were not. See :func:`netadapt.models.initialise.initialise`.
        output: which map of its answer is meant, where it answers with several: the field, key or
            place (see :func:`netadapt.models.with_output`). Default: the checkpoint's own, or all.
        deployed: whether an ``.onnx`` file is to be run as it is, by onnxruntime, as ``evaluate``,
            ``benchmark`` and ``predict`` do. Otherwise it is converted into a network that can be
            pruned and trained (see :func:`netadapt.models.onnx_file.from_onnx`).
        options: keyword arguments of the factory; a file takes none.

    Raises:
        UserError: an unknown name, a missing or damaged file, a factory that is not trusted,
            options that do not fit, or nothing in ``init_from`` that fits.
    """
    ref = str(ref)
    if not ref:
        raise UserError("the model has an empty name; give a checkpoint or a registry name")
    if not is_file_reference(ref):
        model = build(ref, **options)
        if init_from is not None:
            _start_from(model, Path(init_from).expanduser())
        return model if output is None else with_output(model, output)
    path = _existing_checkpoint(ref)
    if init_from is not None:
        raise UserError(
            f"checkpoint {ref} has weights of its own; to start from {init_from}, name the network"
        )
    if options:
        raise UserError(f"checkpoint {ref} takes no options, but got {', '.join(options)}")
    if factory is not None:
        trust(factory)
    if path.suffix == ONNX and not deployed:
        model = build("onnx", path=ref)
    else:
        model = read_weights(path) if path.suffix in READERS else load_checkpoint(path)
    return model if output is None else with_output(model, output)


def load_seeded(ref: str | Path, seed: int, **options: Any) -> nn.Module:
    """Call ``load_model``; fresh weights are a function of ``seed``.

    The state of torch's generators does not change.
    """
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        return load_model(ref, **options)


def require_trusted_model(ref: str, where: object) -> None:
    """Raise a ``UserError`` if the file ``where`` names a model that is untrusted code.

    ``ref`` is whatever ``load_model`` takes; a checkpoint is checked when it is loaded.
    """
    if not is_file_reference(ref):
        require_trusted(ref, "model", where)


def _existing_checkpoint(ref: str) -> Path:
    path = Path(ref).expanduser()
    if path.suffix not in (".safetensors", *READERS) and not path.exists():
        raise UserError(
            f"unknown model {ref!r}: no such file, and not one of {', '.join(MODELS)} or "
            "package.module:factory"
        )
    if path.is_dir():
        inside = min(path.glob("*.safetensors"), default=None)
        hint = f"; name the file in it, such as {inside}" if inside else ""
        raise UserError(f"checkpoint {ref} is not a file but a folder{hint}")
    return path


def _start_from(model: nn.Module, path: Path) -> None:
    """Load the layers that fit from a file and report them; our own checkpoints must be intact."""
    weights = read_published(path)
    if weights.is_checkpoint:
        _check_whole(path, _read_metadata(path))
    print(initialise(model, weights), file=sys.stderr)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    existing_file(path, "checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file, or is damaged") from error


def _read_metadata(path: Path) -> _Metadata:
    with _opened(path) as file:
        text = (file.metadata() or {}).get(KEY)
    if text is None:
        raise UserError(f"{path} is not a checkpoint of netadapt: it does not name a network")
    if len(text) > MAX_METADATA:
        raise UserError(f"checkpoint {path} is damaged: its metadata is {len(text)} characters")
    try:
        return _Metadata.model_validate_json(text)
    except ValidationError as error:
        raise UserError(
            f"checkpoint {path} is damaged, or of another version: {first_problem(error)}"
        ) from error


def _fitting_tensors(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Read the network's tensors, after comparing all names and shapes."""
    expected = model.state_dict()
    with _opened(path) as file:
        stored = {name for name in file.keys() if not name.startswith(OPTIMIZER)}  # noqa: SIM118
        places = {name: stored_name(name, stored) for name in expected}
        named = {place for place, _ in places.values()}
        missing, extra = sorted(named - stored), sorted(stored - named)
        if missing or extra:
            problem = f"lacks {missing[0]}" if missing else f"has {extra[0]}, which is not in it"
            raise UserError(f"checkpoint {path} does not fit its network: it {problem}")
        for name, tensor in expected.items():
            place, third = places[name]
            shape = tuple(file.get_slice(place).get_shape())
            if third is not None:
                shape = (shape[0] // 3, *shape[1:])
            if shape != tuple(tensor.shape):
                raise UserError(
                    f"checkpoint {path} does not fit its network: {name} is {shape}, "
                    f"expected {tuple(tensor.shape)}"
                )
        return {
            name: file.get_tensor(place)
            if third is None
            else file.get_tensor(place).chunk(3)[third]
            for name, (place, third) in places.items()
        }


def _check_whole(path: Path, metadata: _Metadata) -> None:
    """Compare a checkpoint with its checksum; older ones have none."""
    if metadata.checksum is None:
        return
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(metadata, tensors) != metadata.checksum:
        raise UserError(f"checkpoint {path} is damaged: its checksum is wrong; restore the file")


def _checksum(metadata: _Metadata, tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of a whole checkpoint, the optimizer's moments included."""
    sum_ = zlib.crc32(metadata.text("checksum").encode())
    for name, tensor in sorted(tensors.items()):
        sum_ = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), sum_)
        sum_ = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, sum_)
    return f"{sum_:08x}"


def _plain(tensor: Tensor) -> Tensor:
    """Return a row-major copy on the CPU; safetensors refuses tensors that share memory."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
