"""For all unit tests."""

import asyncio

# Below Python 3.14 the policy makes a loop for whoever asks first, and looptime asks around every
# test: before the first asynchronous one that loop would never be closed.
asyncio.set_event_loop(None)
