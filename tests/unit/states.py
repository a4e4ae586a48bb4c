"""What items make of the lines that a server prints."""

from fabfile.items import Change, Item


def compared(item: Item, lines: list[str], touched: set[str]) -> Change | None:
    """Give the change that an item needs where these lines were read."""
    return item.compare(item.parse(lines), touched)
