"""The registry: the versions of a model of one dataset and task, each a verified artifact with its figures."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from gen import artifact, files, signing
from gen.errors import UserError
from gen.signing import Signer
from gen.tracking.runs import KEY
from gen.tracking.store import Store

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST = "genflows.digest"
WITHDRAWN = "genflows.withdrawn"
SIGNER = "genflows.signer"


@dataclass(frozen=True)
class Version:
    """One registered version."""

    name: str
    """DATASET-TASK."""
    number: int
    key: str
    digest: str
    """Of the artifact's manifest."""
    run: str
    """Id of the MLflow run that holds the artifact."""
    created: datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    """model, family, dataset, task, metric, value, eval_id, verdict..."""

    @property
    def withdrawn(self) -> str | None:
        """Why a human took it out of use, if one did: the judge does not promote it again by itself."""
        return self.tags.get(WITHDRAWN)

    @property
    def signer(self) -> str | None:
        """The public key that it is signed with, in hexadecimal; None where it is not."""
        return self.tags.get(SIGNER)


def registered_name(dataset: str, task: str) -> str:
    """The registered model that holds the versions of a dataset and task."""
    return f"{dataset}-{task}"


def register(store: Store, name: str, key: str, run: str, digest: str, tags: Mapping[str, str]) -> Version:
    """Make `name` hold a version of the published run with `key`, and call it the challenger. Idempotent.

    `tags` are renewed on a version that is there already. Raises TrackingUnavailable.
    """
    with files.lock(store.lock("registry")), store.asking(f"registering a version of `{name}`"):
        if registered(store, name) is None:
            store.client.create_registered_model(name)
        found = next((version for version in _versions(store, name) if version.key == key), None)
        if found is None:
            made = store.client.create_model_version(
                name, f"runs:/{run}/model", run, tags={**tags, KEY: key, DIGEST: digest}
            )
            number = int(made.version)
        else:
            number = found.number
            for tag, value in tags.items():
                if found.tags.get(tag) != value:
                    store.client.set_model_version_tag(name, str(number), tag, value)
        store.client.set_registered_model_alias(name, CHALLENGER, str(number))
        return _one(store, name, number)


def sign(store: Store, version: Version, signer: Signer) -> Version:
    """Lay a signature beside the artifact of a version, and return the version as it then is.

    Raises UserError when what the registry holds is not what was registered, or TrackingUnavailable.
    """
    folder = _obtain(store, version)
    with (
        files.lock(store.lock("registry")),
        store.asking(f"signing version {version.number} of `{version.name}`"),
        tempfile.TemporaryDirectory() as place,
    ):
        path = Path(place) / artifact.SIGNATURE
        path.write_bytes(signer.sign(folder))
        store.client.log_artifact(version.run, str(path), "model")
        store.client.set_model_version_tag(version.name, str(version.number), SIGNER, signer.public)
        return _one(store, version.name, version.number)


def annotate(store: Store, version: Version, tags: Mapping[str, str]) -> None:
    """Write down what was found out about a version. Raises TrackingUnavailable."""
    with store.asking(f"writing tags of `{version.name}`"):
        for tag, value in tags.items():
            store.client.set_model_version_tag(version.name, str(version.number), tag, value)


def versions(store: Store, name: str | None = None) -> list[Version]:
    """All versions of a registered model, or of all of them: by name, oldest first. Raises TrackingUnavailable."""
    with store.asking("listing the registered versions"):
        return _versions(store, name)


def version(store: Store, name: str, which: str) -> Version:
    """A version by its number or alias. Raises UserError when there is none, or TrackingUnavailable."""
    known = versions(store, name)
    for found in known:
        if which in (str(found.number), *found.aliases):
            return found
    numbers = ", ".join(str(found.number) for found in known)
    raise UserError(
        f"`{name}` has no version `{which}`. "
        + (f"It has: {numbers}; `genflows models` lists them." if known else "Run `genflows retrain` to make one.")
    )


def champion(store: Store, name: str) -> Version | None:
    """The version in use, None before the first promotion. Raises TrackingUnavailable."""
    with store.asking(f"looking up the champion of `{name}`"):
        return with_alias(store, name, CHAMPION)


def fetch(store: Store, version: Version) -> Path:
    """The verified artifact of a version, downloaded unless it is here already; returns its folder.

    Raises UserError when what the registry holds is not what was registered, or not signed as it has to be;
    TrackingUnavailable.
    """
    folder = _obtain(store, version)
    signing.require_trusted(folder)
    return folder


def _obtain(store: Store, version: Version) -> Path:
    folder = store.private / "models" / version.name / str(version.number)
    with files.lock(store.lock("fetch")):
        if _fault(folder, version):
            with store.asking(f"fetching version {version.number} of `{version.name}`"):
                _download(store, version, folder)
            if fault := _fault(folder, version):
                shutil.rmtree(folder)
                raise UserError(
                    f"Version {version.number} of `{version.name}` is not what was registered: {fault} Do not use it: "
                    "promote another version (`genflows models` lists them), or register it anew with `genflows judge`."
                )
    return folder


def with_alias(store: Store, name: str, alias: str) -> Version | None:
    """The version that an alias names, read at this moment. MLflow's own errors come through."""
    model = registered(store, name)
    number = model.aliases.get(alias) if model else None
    return None if number is None else _one(store, name, int(number))


def registered(store: Store, name: str) -> RegisteredModel | None:
    """The registered model as MLflow knows it. MLflow's own errors come through."""
    return next(iter(store.client.search_registered_models(f"name = '{name}'")), None)


def _fault(folder: Path, version: Version) -> str | None:
    """Why `folder` is not the artifact of `version`, or None."""
    try:
        artifact.verify(folder)
    except UserError as error:
        return str(error)
    if files.manifest_digest(folder) != version.digest:
        return "its manifest is that of another model."
    if version.signer and not signing.is_signed(folder, version.signer):
        return "its signature is missing, or not of whom the registry names."
    return None


def _download(store: Store, version: Version, folder: Path) -> None:
    """Replace `folder` by what MLflow holds."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    store.client.download_artifacts(version.run, "model", str(partial))
    shutil.rmtree(folder, ignore_errors=True)
    (partial / "model").rename(folder)
    partial.rmdir()


def _one(store: Store, name: str, number: int) -> Version:
    model = registered(store, name)
    return _as_version(store.client.get_model_version(name, str(number)), model.aliases if model else {})


def _versions(store: Store, name: str | None) -> list[Version]:
    """Versions that genflows made: a shared server may hold others."""
    where = f"name = '{name}'" if name else None
    aliases = {model.name: model.aliases for model in _pages(store.client.search_registered_models, where)}
    found = [
        _as_version(entity, aliases.get(entity.name, {}))
        for entity in _pages(store.client.search_model_versions, where)
        if KEY in entity.tags
    ]
    return sorted(found, key=lambda version: (version.name, version.number))


def _pages(search: Callable[..., Any], where: str | None) -> Iterator[Any]:
    """All results of a search, page by page."""
    token = None
    while True:
        page = search(where, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _as_version(entity: ModelVersion, aliases: Mapping[str, str]) -> Version:
    number = int(entity.version)
    return Version(
        name=entity.name,
        number=number,
        key=entity.tags[KEY],
        digest=entity.tags[DIGEST],
        run=entity.run_id or "",
        created=datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if int(of) == number)),
        tags=dict(entity.tags),
    )
