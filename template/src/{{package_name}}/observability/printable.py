"""Text that cannot do more to a log than be read."""

import json


def printable(text: str) -> str:
    """`text` with what could end a line or steer a terminal written as JSON writes it, such as `\\n` and `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
