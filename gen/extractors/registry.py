"""Architectures by name: those that come along, and those that installed packages register.

A package registers one by an entry point of the group `genflows.extractors`, which names an `Architecture`.
"""

from importlib.metadata import EntryPoint, entry_points

from gen.errors import BadParamsError, UserError
from gen.extractors import inception, lenet
from gen.extractors.architecture import Architecture
from gen.strict import nearest

GROUP = "genflows.extractors"
BUILT_IN = {inception.NAME: inception.ARCHITECTURE, lenet.NAME: lenet.ARCHITECTURE}
"""Their names are taken: a package cannot register another under one of them."""


def find(name: str) -> Architecture:
    """The architecture called `name`. A package's code is run for its own names alone.

    Raises BadParamsError where no one, or more than one, registers the name; UserError where the package cannot be
    imported or names something else.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    registered = entry_points(group=GROUP)
    found = {(point.name, point.value): point for point in registered if point.name == name}
    if not found:
        names = [*BUILT_IN, *sorted({point.name for point in registered})]
        raise BadParamsError(
            f"No architecture of extractors is called `{name}`. {nearest(name, names)} Another one is registered by an "
            f"installed package, with an entry point of the group `{GROUP}`."
        )
    if len(found) > 1:
        values = ", ".join(point.value for point in found.values())
        raise BadParamsError(
            f"More than one package registers the architecture `{name}`: {values}. Uninstall all but one."
        )
    return _loaded(next(iter(found.values())))


def _loaded(point: EntryPoint) -> Architecture:
    try:
        architecture = point.load()
    except Exception as error:  # whatever a stranger's module raises when it is imported
        raise UserError(
            f"The architecture `{point.name}` could not be loaded from {point.value} ({type(error).__name__}: "
            f"{error}). Mend or reinstall the package that registers it."
        ) from error
    if not isinstance(architecture, Architecture):
        raise UserError(
            f"{point.value} is registered as the architecture `{point.name}`, but it is a "
            f"{type(architecture).__name__}. Let the entry point name a gen.extractors.architecture.Architecture."
        )
    return architecture
