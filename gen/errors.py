"""The errors that users are meant to read: one paragraph that says what, why, and what to do."""

import errno


class UserError(Exception):
    """Something that the user can mend: one paragraph that says what, why, and what to do."""

    exit_code = 1
    """What a command leaves with."""


class BadParamsError(UserError):
    """params.yaml, or a value meant for it, cannot be used; or a name is not in it."""

    exit_code = 2


class TooFewImagesError(UserError):
    """A figure or a training was asked of fewer images than it needs."""


class BusyError(UserError):
    """Another process is at work in the same workspace."""

    exit_code = 4


class PartedError(UserError):
    """Another of the processes that train one model together is gone."""


class LeftError(UserError):
    """A training was asked to end before its budget was seen."""

    exit_code = 130


def describe(error: BaseException) -> str | None:
    """One paragraph for an error that the user can mend, None for one that only a programmer can."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return _describe_system(error)
    # torch's error is known by its name, so that nobody loads torch to say that memory ran out.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "Memory ran out: the images or the networks of one step do not fit. What was finished is kept. "
            "Set a smaller `batch` for the model (or a smaller `size` for its dataset), or close other programs."
        )
    return None


def _describe_system(error: OSError) -> str | None:
    """The system's refusals that a user meets."""
    what = str(error.filename or "a file")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            full = {errno.ENOSPC: "The disk is full", errno.EDQUOT: "The disk quota is used up"}
            return (
                f"{full.get(error.errno, 'A file outgrew its limit (`ulimit -f`)')}: {what} could not be written. "
                "What was finished is kept, nothing is half-written. Make room (`genflows clean` says what can go) and "
                "run the same command again."
            )
        case errno.EACCES | errno.EPERM:
            return f"{what} may not be read or written by this user. Give yourself the right to it and run again."
        case errno.EROFS:
            return f"{what} lies on a read-only file system. Move the workspace to one that can be written."
        case errno.ENOENT:
            return f"{what} is missing. Check the path; `genflows doctor` checks the workspace."
        case errno.EISDIR | errno.ENOTDIR:
            return f"{what} is a {'folder' if error.errno == errno.EISDIR else 'file'}, but the other is needed there."
        case errno.EMFILE | errno.ENFILE:
            return "Too many files are open at once. Raise the limit (`ulimit -n 4096`) and run again."
        case errno.EIO:
            return f"The disk failed to read or write {what}. Check the disk, then restore the file from DVC."
        case _:
            return None
