"""Writing one architecture to a file: its spec, a torch program, or ONNX."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from invsearch import cost
from invsearch.errors import CheckError, InputError, nearest
from invsearch.models import TaskSpec, build_searched
from invsearch.models.onnx import onnx_model
from invsearch.models.task import DETECTORS
from invsearch.models.trace import foreign_operators, trace
from invsearch.runs.files import dump_json
from invsearch.runs.outputs import check_output
from invsearch.takeaway.from_pixels import FromPixels
from invsearch.takeaway.pick import Pick
from invsearch.takeaway.saved import CONFIG, SavedNetwork, config_of, write_bytes
from invsearch.takeaway.subject import Subject
from invsearch.train import seeded_build
from ops.runtimes import DOMAIN, onnxruntime_session

__all__ = ["FORMATS", "Exported", "export"]

FORMATS: Mapping[str, str] = {"torch": ".pt2", "onnx": ".onnx", "spec": ".json"}
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # the last checks what was written


@dataclass(frozen=True)
class Exported:
    """A written file.

    Attributes:
        path: The file.
        format: ``torch``, ``onnx`` or ``spec``.
        config: What is written beside the network; in the file too.
        needs: Operators that must be registered before it is loaded.
    """

    path: Path
    format: str
    config: Mapping[str, Any]
    needs: tuple[str, ...] = ()


def export(
    picked: Pick | Subject,
    output: Path,
    *,
    form: str | None = None,
    weights: str | Path | None = None,
    native: bool = False,
    pixels: bool = False,
) -> Exported:
    """Write the architecture of a trial, or another network, to a file.

    Args:
        picked: The trial, in any state; or a network, with its weights where it was kept so.
        output: The file; an existing one is replaced.
        form: One of :data:`FORMATS`; None for what the file's ending says.
        weights: Folder that ``invsearch train -o`` wrote: a trial's network is exported with its
            weights. Without it the full-size network is, untrained.
        native: For ``torch`` and ``onnx``: keep involution as an operator of `ops`, fast where that
            is there.
        pixels: Whether the file takes pixels, float32, and normalises them itself.

    Raises:
        InputError: If the format, the file, the weights or a missing package stand in the way.
        CheckError: If the network cannot be traced, or the written program computes something else.
    """
    form = _format(output, form)
    if output.is_dir():
        raise InputError(f"-o {output} is a folder: name a file, such as {output}/network.pt2")
    check_output(output)
    if native and form == "spec":
        raise InputError("--native is for --format torch and onnx, not spec")
    if pixels and form == "spec":
        raise InputError("--pixels is for a network that runs, not for --format spec")
    if form == "onnx":
        _require_onnx()
    saved = _saved(picked, weights)
    config = saved.config if saved else _config(picked)
    if form == "spec":
        write_bytes(output, (dump_json(config, indent=2) + "\n").encode())
        return Exported(output, form, config)
    if pixels:
        config = {**config, "input": "pixels"}
    network = saved.network() if saved else _untrained(picked)
    network = FromPixels.of(network, config).eval() if pixels else network
    if form == "onnx":
        data, needs = _onnx(network, config, native=native), [DOMAIN] if native else []
    else:
        program = trace(network, config["input_shape"], native=native)
        data, needs = _torch(program, network, config), foreign_operators(program)
    write_bytes(output, data)
    return Exported(output, form, config, tuple(needs))


def _format(output: Path, form: str | None) -> str:
    if form is not None:
        if form not in FORMATS:
            raise InputError(
                f"--format {form!r} is none of {', '.join(FORMATS)}{nearest(form, FORMATS)}"
            )
        return form
    for name, suffix in FORMATS.items():
        if output.suffix == suffix:
            return name
    endings = ", ".join(f"{suffix} ({name})" for name, suffix in FORMATS.items())
    raise InputError(f"-o {output}: its ending is none of {endings}; give --format")


def _config(picked: Pick | Subject) -> dict[str, Any]:
    spec = picked.spec
    metrics = picked.trial.metrics if isinstance(picked, Pick) else {}
    height, width = cost.searched_shape(spec, picked.resolution)[2:]
    return config_of(picked.origin, spec, (height, width), metrics=metrics)


def _untrained(picked: Pick | Subject) -> nn.Module:
    spec = picked.spec
    if isinstance(spec, TaskSpec):
        # at the paper's size to check what was written takes minutes, and tells nobody anything
        raise InputError(
            f"{picked.name} is {spec.task}, untrained and for images of the paper's size: "
            + (
                "detectors are counted, and written as a spec alone (--format spec)"
                if spec.task in DETECTORS
                else "train it and give --weights FOLDER, or write its spec (--format spec)"
            )
        )
    if isinstance(picked, Subject):
        return seeded_build(picked.fresh, 0).eval()
    return seeded_build(lambda: build_searched(spec), picked.trial.seed).eval()


def _saved(picked: Pick | Subject, weights: str | Path | None) -> SavedNetwork | None:
    """The trained network that is exported; None for an untrained one."""
    if isinstance(picked, Subject):
        return picked.saved if picked.saved and picked.saved.training else None
    if weights is None:
        return None
    saved = SavedNetwork.open(weights)
    if saved.origin["architecture"] != picked.trial.architecture.to_json():
        raise InputError(
            f"--weights {weights} is trial {saved.config['trial']} of {saved.config['run']}, "
            f"another architecture than {picked.name}"
        )
    return saved


def _torch(program: ExportedProgram, network: nn.Module, config: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={CONFIG: dump_json(config, indent=2)})
    buffer.seek(0)
    _check(torch.export.load(buffer).module(), network, config["input_shape"])
    return buffer.getvalue()


def _onnx(network: nn.Module, config: Mapping[str, Any], *, native: bool) -> bytes:
    proto = onnx_model(network, config["input_shape"], native=native)
    proto.metadata_props.add(key="invsearch", value=dump_json(config))
    data: bytes = proto.SerializeToString()
    _check(_session(data), network, config["input_shape"])
    return data


def _session(data: bytes) -> Callable[[Tensor], Tensor]:
    try:
        session = onnxruntime_session(data)
    except Exception as error:  # onnxruntime's own, which derive from nothing of theirs
        reason = str(error).partition("\n")[0]
        raise CheckError(f"ONNX Runtime does not take the exported network: {reason}") from error

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return run


def _check(program: Callable[[Tensor], Tensor], network: nn.Module, shape: list[int]) -> None:
    """Compare a program with the network on three random images.

    Raises:
        CheckError: If they differ by more than rounding does.
    """
    images = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(0))
    images = network.pixels(images) if isinstance(network, FromPixels) else images
    with torch.no_grad():
        expected, found = network(images), program(images)
    difference = float((expected - found).abs().max())
    if not difference <= 1e-3 * max(1e-6, float(expected.abs().max())):
        raise CheckError(f"the exported program differs from the network by {difference:.3g}")


def _require_onnx() -> None:
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--format onnx needs the package {missing[0]}: pip install 'invsearch[onnx]'"
        )
