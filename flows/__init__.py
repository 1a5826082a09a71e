"""The drivers of the pipeline: the command `genflows`, the Prefect flow, schedules. The science is in `gen`."""
