"""What is done to a program that is in one of the `blocked_states`; runs in child interpreters."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback

from asgi_sync import _workers
from helpers.blocked_states import STATES
from helpers.everything import use_everything
from helpers.held import Held

# For what must not wait at all: longer than any test may take.
NEVER_SECONDS = 3600
# After which a forked child that hangs is ended, by a signal: below the limit of its parent.
FORKED_CHILD_SECONDS = 15


def is_interrupted(name: str) -> None:
    """Wait for a SIGINT in the state, in the main thread, and go on afterwards."""
    _workers.EXIT_SECONDS = NEVER_SECONDS
    try:
        STATES[name].enter(Held(lambda: print("ready")))
    except KeyboardInterrupt:
        print("interrupted")
    use_everything()


def is_interrupted_and_ends(name: str) -> None:
    """Wait for a SIGINT in the state, and do not catch it."""
    _workers.EXIT_SECONDS = NEVER_SECONDS
    STATES[name].enter(Held(lambda: print("ready")))


def forks(name: str) -> None:
    """Fork in the state, by the thread that has come to it and by another one."""
    _workers.EXIT_SECONDS = NEVER_SECONDS
    arrived = threading.Event()

    def arrive() -> None:
        fork_and_use_everything("inside")
        arrived.set()

    def fork_beside() -> None:
        arrived.wait()
        fork_and_use_everything("beside")
        held.release()

    held = Held(arrive)
    beside = threading.Thread(target=fork_beside)
    beside.start()
    print(STATES[name].enter(held))
    beside.join()
    use_everything()


def fork_and_use_everything(where: str) -> None:
    """Have a forked child use the bridge and end, with all that ends a program."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(FORKED_CHILD_SECONDS)
            use_everything()
            # What `os._exit` leaves out.
            atexit._run_exitfuncs()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(where, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def ends_inside(name: str) -> None:
    """End the interpreter from inside of the state, in the main thread."""
    _workers.EXIT_SECONDS = NEVER_SECONDS
    STATES[name].enter(Held(lambda: sys.exit(3)))


def ends_beside(name: str) -> None:
    """End the main thread while another one is in the state, and only then release that."""
    _workers.EXIT_SECONDS = NEVER_SECONDS
    arrived = threading.Event()
    held = Held(arrived.set)

    def release_after_the_main_thread() -> None:
        threading.main_thread().join()
        held.release()

    threading.Thread(target=release_after_the_main_thread, daemon=True).start()
    threading.Thread(target=lambda: print(STATES[name].enter(held))).start()
    arrived.wait()
    print("main thread ends")


def ends_beside_for_ever(name: str) -> None:
    """End the interpreter while a daemon thread is in the state for ever."""
    _workers.EXIT_SECONDS = 0.1
    arrived = threading.Event()
    held = Held(arrived.set)
    threading.Thread(target=STATES[name].enter, args=(held,), daemon=True).start()
    arrived.wait()
    sys.exit(3)
