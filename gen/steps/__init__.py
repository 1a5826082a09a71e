"""The steps of the pipeline: values and files in, files out. `python -m gen STEP [NAME]` runs one."""
