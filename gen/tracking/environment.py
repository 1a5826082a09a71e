"""What MLflow reads from the environment. Call it once in the command, before mlflow is imported."""

import os
import re

SETTINGS = {
    # A dead server blocks one call for 247 s with MLflow's own time-outs.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def mlflow_environment() -> None:
    """Short time-outs, no telemetry, no chatter. What the user has set wins."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def without_secrets(text: str) -> str:
    """Text with the user and password of every URL left out, wherever in it they stand."""
    text = re.sub(r"//(?:[^/@\s]+|[^/@:\s]*:[^@\s]*)@", "//", text)
    return re.sub(r"([?&]\w*password)=[^&\s]*", r"\1=***", text)
