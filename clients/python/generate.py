"""Generates the package `dateline` from the contract while a wheel is built. Nothing generated is kept in git.

pyproject.toml names this file as a hook of hatchling. In a checkout the contract is in `../../proto`; a source
distribution has a copy of it in `proto`, from which it is built anywhere.
"""

import pathlib
import sys
import tempfile
from importlib import resources
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = pathlib.Path(__file__).parent.resolve()
CHECKOUT = HERE.parent.parent
CONTRACT = "dateline/v1"


def proto_root() -> pathlib.Path:
    for root in (HERE / "proto", CHECKOUT / "proto"):
        if (root / CONTRACT).is_dir():
            return root
    sys.exit(f"found no contract: neither {HERE}/proto nor {CHECKOUT}/proto has {CONTRACT}")


def generate(root: pathlib.Path, output: pathlib.Path) -> None:
    """Writes modules, stubs and `py.typed` for the contract below `root`. `output` must exist."""
    from grpc_tools import protoc

    files = sorted(path.relative_to(root).as_posix() for path in (root / CONTRACT).glob("*.proto"))
    arguments = [
        f"--proto_path={root}",
        f"--proto_path={resources.files('grpc_tools') / '_proto'}",
        f"--python_out={output}",
        f"--grpc_python_out={output}",
        f"--mypy_out=quiet:{output}",
        f"--mypy_grpc_out=quiet:{output}",
    ]
    if protoc.main(["protoc", *arguments, *files]) != 0:
        sys.exit(f"protoc could not compile the contract in {root}; its messages are above")
    for package in (output / "dateline", output / CONTRACT):
        (package / "__init__.py").touch()
    (output / "dateline/py.typed").touch()


class GenerateHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            self.copy_contract(build_data)
        elif version == "editable":
            sys.exit("this package cannot be installed in editable mode, because its modules are generated")
        else:
            self.generated = tempfile.TemporaryDirectory()
            output = pathlib.Path(self.generated.name, "output")
            output.mkdir()
            generate(proto_root(), output)
            build_data["force_include"][str(output / "dateline")] = "dateline"

    def copy_contract(self, build_data: dict[str, Any]) -> None:
        root = proto_root()
        # Only what the contract consists of: proto/ also has messages that never leave the archive.
        for folder in ("dateline", "google"):
            if (root / folder).is_dir():
                build_data["force_include"][str(root / folder)] = f"proto/{folder}"
        for name in ("LICENSE-APACHE", "LICENSE-MIT"):
            path = HERE / name if (HERE / name).exists() else CHECKOUT / name
            build_data["force_include"][str(path)] = name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if generated := getattr(self, "generated", None):
            generated.cleanup()
