"""Libraries whose output loads from other origins, which the site's pages may not do by default."""

from __future__ import annotations

from typing import NamedTuple

from ..items.packages import canonical
from .evidence import Evidence

JSDELIVR, CLOUDFLARE = "https://cdn.jsdelivr.net", "https://cdnjs.cloudflare.com"
BOKEH, MAPS = "https://cdn.bokeh.org", "https://tile.openstreetmap.org"


class Library(NamedTuple):
    """The origins that a library's output loads from, and how it does without them, if it can."""

    origins: tuple[str, ...]
    instead: str = ""


LIBRARIES = {
    "altair": Library((JSDELIVR,)),
    "bokeh": Library((BOKEH,), "BOKEH_RESOURCES=inline"),
    "folium": Library((JSDELIVR, CLOUDFLARE, "https://code.jquery.com",
                       "https://netdna.bootstrapcdn.com", MAPS)),
    "ipyleaflet": Library((MAPS,)),
    "panel": Library((BOKEH, "https://cdn.holoviz.org", JSDELIVR), "pn.extension(inline=True)"),
    "pydeck": Library((JSDELIVR, "https://basemaps.cartocdn.com", "https://api.tiles.mapbox.com",
                       "https://maxcdn.bootstrapcdn.com", "https://unpkg.com")),
    "pyvis": Library((JSDELIVR, CLOUDFLARE), 'cdn_resources="in_line"'),
}  # fmt: skip


def blank(e: Evidence) -> str:
    """Name the installed libraries whose origins the settings do not allow."""
    there = set(map(canonical, e.lines("libraries")))
    found = []
    for name, library in LIBRARIES.items():
        missing = [one for one in library.origins if one not in e.settings.content_from]
        if name in there and missing:
            instead = f" (or use {library.instead})" if library.instead else ""
            found.append(f"{name} loads from {' '.join(missing)}{instead}")
    return "; ".join(found)


def table() -> str:
    """Return the libraries with their origins, in Markdown."""
    rows = (
        f"| {name} | {' '.join(f'`{one}`' for one in library.origins)} "
        f"| {f'`{library.instead}`' if library.instead else ''} |\n"
        for name, library in LIBRARIES.items()
    )
    return "| library | loads from | does without by |\n|---|---|---|\n" + "".join(rows)
