"""A model in use over HTTP: pictures for JSON, one inference at a time, and always the present champion.

`served` is a loaded model and what it answers, `pictures` the images of strangers, `following` the eye on the registry,
`gate` what every request passes, `app` the addresses. Nothing here knows the command that starts it.
"""
