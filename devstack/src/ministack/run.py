"""Runs MiniStack and, where it keeps state, saves what changed every few seconds.

MiniStack by itself saves its state only on an orderly shutdown. After a power cut its user pools and keys would be
gone while the database still names them.
"""

import hashlib
import json
import logging
import threading
import time

from ministack import app
from ministack.core import persistence

INTERVAL_SECONDS = 2

logger = logging.getLogger("autosave")
saved = {}


def save_changes():
    """Runs on the server's event loop, as the save at shutdown does: the two never write the same file at once."""
    for service, get_state in app._build_persistence_save_dict().items():
        try:
            state = get_state()
            text = json.dumps(state, default=persistence._json_default)
        except Exception as error:  # a worker thread changed it meanwhile; the next round finds it at rest
            logger.debug("%s is not saved this time: %s", service, error)
            continue
        digest = hashlib.sha256(text.encode()).digest()
        if state is not None and saved.get(service) != digest:
            persistence.save_state(service, state)
            saved[service] = digest


def save_now_and_then():
    while True:
        time.sleep(INTERVAL_SECONDS)
        loop = app._MAIN_LOOP
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(save_changes)


if persistence.PERSIST_STATE:
    threading.Thread(target=save_now_and_then, daemon=True).start()
app.main()
