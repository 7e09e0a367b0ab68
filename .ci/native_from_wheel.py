"""Whether the installed package has native kernels that compute what torch's operators do."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import torch

import invsearch
import ops
from ops.involution.backends.native import library

home, built = Path(ops.__file__).parent, library.path()
assert not (home.parent / "pyproject.toml").exists(), f"{home}: a checkout"
assert ops.backends()["native"] == "available", ops.backends()["native"]
assert built is not None
assert built.is_relative_to(home), built
assert metadata.version("invsearch") == invsearch.__version__

x, kernel = torch.randn(2, 32, 14, 14), torch.randn(2, 2, 7, 7, 14, 14)
native, torchs = (ops.involution2d(x, kernel, backend=name) for name in ("native", "torch"))
torch.testing.assert_close(native, torchs)
print(f"invsearch {invsearch.__version__}, torch {torch.__version__}: {built.name} computes")
