"""Background work with a number: queued, running, ok or failed, one after the other.

What a run does is a function that is handed in; its state is kept in the table `jobs`.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from service.engine.operation_store import OperationStore
from service.logs import fields

log: Final = logging.getLogger("jumelle.jobs")


class Jobs:
    """A queue with one worker."""

    def __init__(self, store: OperationStore) -> None:
        self._store = store
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobs")
        self._newest = 0

    def start(self, job: str, work: Callable[[int], str]) -> int:
        """Queue a run and give its number; `work` gets the number and gives a detail to show."""
        self._newest = max(self._newest + 1, time.time_ns() // 1_000_000)
        run = self._newest
        self._store.put_job(run, job, "queued")
        self._worker.submit(self._carry_out, run, job, work)
        return run

    def wait(self) -> None:
        """Wait until everything queued so far is done."""
        done: Future[None] = self._worker.submit(lambda: None)
        done.result()

    def stop(self) -> None:
        """Finish the running work and take no more."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _carry_out(self, run: int, job: str, work: Callable[[int], str]) -> None:
        self._store.put_job(run, job, "running")
        try:
            detail = work(run)
        except Exception as problem:
            log.exception("a run failed", extra=fields(job=job, run=run))
            self._store.put_job(run, job, "failed", str(problem))
            return
        self._store.put_job(run, job, "ok", detail)
