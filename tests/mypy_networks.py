"""A plugin for mypy: in tests, an attribute that a network has at run time alone is ``Any``.

PyTorch declares ``Module.__getattr__`` to give ``Tensor | Module``, which is neither for ``spec``,
``widths`` or ``out_channels``. The package and the benchmarks are checked without this.
"""

from collections.abc import Callable

from mypy.plugin import AttributeContext, Plugin
from mypy.types import AnyType, Type, TypeOfAny

MODULE = "torch.nn.modules.module.Module."


def _any_in_tests(context: AttributeContext) -> Type:
    found = context.default_attr_type
    if not context.api.path.startswith("tests/"):
        return found
    names = {getattr(one, "type", one) and str(one) for one in getattr(found, "items", [])}
    registered = {"torch._tensor.Tensor", "torch.nn.modules.module.Module"}
    return AnyType(TypeOfAny.explicit) if names == registered else found


class Networks(Plugin):
    """Answers for the attributes of networks."""

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        return _any_in_tests if fullname.startswith(MODULE) else None


def plugin(version: str) -> type[Plugin]:
    """Return the plugin, as mypy asks for it."""
    return Networks
