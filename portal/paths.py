"""How a source's id of something stands in an address."""

from __future__ import annotations

from django.urls import register_converter


class SourceId:
    """Whatever a help desk calls its ticket: `owner/repo#12` too, and what is kept of older times.

    Django's own `path` matches no line break, and an address that cannot be written stops the page
    that names it.
    """

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        """The id as the source says it. With a NUL it is nobody's: none is kept."""
        if "\0" in value:
            raise ValueError(value)
        return value

    def to_url(self, value: str) -> str:
        """The id as Django percent-encodes it."""
        return value


register_converter(SourceId, "source_id")

#: Something of a source by the source's own id.
OF_SOURCE = "<slug:source>/<source_id:external_id>/"
