# The pipeline in a container: small, not root. `docker build -t genflows .`, then
# `docker run --rm -v genflows:/home/genflows/workspace genflows make run`.
FROM python:3.12-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home genflows
USER genflows
WORKDIR /home/genflows/workspace

# Dependencies first: they change less often than the code.
COPY --chown=genflows pyproject.toml constraints.txt README.md LICENSE Makefile ./
RUN mkdir gen flows && touch gen/__init__.py flows/__init__.py && make .venv/.set-up
COPY --chown=genflows . .
RUN touch .venv/.set-up && (git rev-parse --git-dir >/dev/null 2>&1 || { \
      git init --quiet && git add --all \
   && git -c user.name=genflows -c user.email=genflows@localhost commit --quiet --message "As built"; })

CMD ["make", "run"]
