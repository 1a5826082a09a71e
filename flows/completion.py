"""Names that the shell completes: those in params.yaml, read without checking it."""

from collections.abc import Callable


def names(block: str) -> Callable[[str], list[str]]:
    """A completer for the names under `datasets:` or `models:`."""

    def complete(incomplete: str) -> list[str]:
        from gen import config
        from gen.errors import UserError
        from gen.workspace import Workspace

        try:
            values = config.read_yaml(Workspace.find().params_file)
        except UserError:
            return []
        return [name for name in values.get(block) or {} if str(name).startswith(incomplete)]

    return complete
