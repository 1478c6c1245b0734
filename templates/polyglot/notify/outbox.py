"""A folder of messages that wait to be sent."""

import os
from email.message import EmailMessage
from pathlib import Path
from tempfile import NamedTemporaryFile


def put(folder: Path, name: str, message: EmailMessage) -> bool:
    """Adds a message, unless there is one of this name; says whether it did.

    Nobody who looks finds half a message, and of several that put the same one at once, one does:
    an asynchronous event may be delivered more than once.
    """
    with NamedTemporaryFile(dir=folder, prefix=f".{name}-") as file:
        file.write(message.as_bytes())
        file.flush()
        try:
            os.link(file.name, folder / f"{name}.eml")
        except FileExistsError:
            return False
    return True
