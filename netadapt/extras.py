"""Which optional packages belong to which extra of ``pip install 'netadapt[...]'``."""

EXTRA_OF = {
    "h5py": "depth",
    "PIL": "depth",
    "timm": "depth",
    "torchvision": "depth",
    "matplotlib": "plot",
    "jinja2": "plot",
    "markupsafe": "plot",
    "plotly": "plot",
    "torch_pruning": "rank",
    "sklearn": "digits",
    "pymoo": "evolution",
    "ray": "ray",
    "tensorboard": "tensorboard",
    "onnx2pytorch": "onnx",
    "openvino": "openvino",
    "executorch": "executorch",
    "tvm": "tvm",
}


def remedy(error: ModuleNotFoundError) -> str | None:
    """Return the one line that says which extra to install, or ``None`` if no extra has it."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return None
    return f"this needs the package {package}; run: pip install 'netadapt[{extra}]'"
