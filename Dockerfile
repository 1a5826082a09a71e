# The pipeline, its servers and the image server in one image: docs/how-to/run-in-containers.md says how.
ARG BASE=python:3.12-slim

# What is built, with pip and its caches, stays in this stage.
FROM ${BASE} AS environment
ARG ACCELERATOR=cpu
ARG EXTRAS=sweep,postgresql
# The CPU build of torch lies on an index of its own: the one that pytorch.org's install page names.
ARG PIP_EXTRA_INDEX_URL
WORKDIR /srv/genflows
COPY pyproject.toml constraints.txt ./
# Both secrets are optional: a pip.conf of your own, and the certificates that it may name (/run/secrets/certificates).
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=certificates \
    case "$ACCELERATOR" in \
      cpu) build=+cpu ;; \
      cuda) build= ;; \
      *) echo "ACCELERATOR is cpu or cuda, not $ACCELERATOR." >&2; exit 1 ;; \
    esac \
 && python3 -m venv /opt/genflows \
 && PATH="/opt/genflows/bin:$PATH" && export PIP_NO_CACHE_DIR=1 PIP_QUIET=1 \
 && { pip install --constraint constraints.txt "$(grep ^torch== constraints.txt)$build" || { \
      echo "No torch for ACCELERATOR=$ACCELERATOR. Give the CPU index that pytorch.org's install page names as" \
           "--build-arg PIP_EXTRA_INDEX_URL=..., or take --build-arg ACCELERATOR=cuda." >&2; exit 1; }; } \
 && mkdir gen flows && touch gen/__init__.py flows/__init__.py README.md LICENSE \
 && pip install --constraint constraints.txt --editable ".[$EXTRAS]" \
 # A fifth of it is tests, headers and programs for who develops these packages.
 && cd /opt/genflows/lib/python3*/site-packages \
 && rm -rf torch/include torch/test pyarrow/include pyarrow/src \
 && find torch/bin -type f ! -name torch_shm_manager -delete \
 && find numpy scipy sklearn pandas pyarrow sympy networkx mlxtend matplotlib -type d -name tests -prune -exec rm -r {} +

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title=genflows org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.revision=$REVISION
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && useradd --uid 10001 --create-home genflows \
 && install --directory --owner=genflows --group=genflows /srv/genflows /srv/artifacts
COPY --from=environment /opt/genflows /opt/genflows
ENV PATH=/opt/genflows/bin:$PATH \
    GENFLOWS_VENV=/opt/genflows \
    HOME=/home/genflows \
    DO_NOT_TRACK=true \
    DVC_NO_ANALYTICS=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    # Its own default lies in the environment, which a read-only root keeps as it is.
    PREFECT_UI_STATIC_DIRECTORY=/tmp/prefect-ui
USER 10001:10001
WORKDIR /srv/genflows
COPY --chown=10001:10001 . .
RUN git init --quiet --initial-branch=main && git add --all \
 && git -c user.name=genflows -c user.email=genflows@localhost commit --quiet --message "As built from $REVISION"

# For `genflows up --foreground`; compose.yaml has others for the servers.
HEALTHCHECK --interval=30s --timeout=20s --start-period=3m CMD ["genflows", "status"]
CMD ["make", "run"]
