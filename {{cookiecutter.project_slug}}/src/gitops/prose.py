"""Text that people wrote for people, as running words in Markdown: nothing in it is markup, a mention or a link."""

import re


def prose(text: str) -> str:
    """Return one line of text that renders as it was typed."""
    text = re.sub(r"([\\`*_\[\]<>|~$&!:])", r"\\\1", text)  # a colon makes links and emoji
    text = re.sub(r"(?i)(?<=www)\.", r"\\.", text)
    text = re.sub(r"^(\d*)([-+.)])", r"\1\\\2", text)  # the marks of a list
    return re.sub(r"[@#]", r"\g<0><!-- -->", text)  # GitHub looks for mentions in the rendered text, past backslashes
