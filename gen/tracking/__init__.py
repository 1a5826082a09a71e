"""The only place that knows MLflow: the mirror of what the files say, and the registry of models.

`store` connects, `runs` publishes, `registry` holds versions and their aliases. All of them import mlflow when they are
imported, so a command calls `environment.mlflow_environment()` before; this package itself imports nothing.
"""
