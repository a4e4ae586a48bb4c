"""Keep sudo's password out of Invoke's own debug lines, which print every setting."""

import logging
import os


def masked(record: logging.LogRecord) -> bool:
    """Mask the password in a log record; keep the record."""
    secret = os.environ.get("FABRIC_SUDO_PASSWORD")
    if secret:
        text = record.getMessage()
        for form in (repr(secret)[1:-1], secret):
            text = text.replace(form, "***")
        record.msg, record.args = text, ()
    return True


for name in ("invoke", "fabric"):
    logging.getLogger(name).addFilter(masked)
