"""A bucket whose writer is killed at one of its operations, before it or after it."""

from flamingo.batch.storage.bucket import BucketStorage


class Killed(BaseException):
    """The process was killed here."""


class FailingStorage(BucketStorage):
    """Raises `Killed` at the operation with some number, from 0; even numbers: before it."""

    def __init__(self, store, kill_at):
        super().__init__(store, "s3://out")
        self._num_left = kill_at

    def write(self, name, content):
        self._operate(lambda: super(FailingStorage, self).write(name, content))

    def create(self, name, content):
        self._operate(lambda: super(FailingStorage, self).create(name, content))

    def remove(self, name):
        self._operate(lambda: super(FailingStorage, self).remove(name))

    def _operate(self, operation):
        self._count()
        operation()
        self._count()

    def _count(self):
        self._num_left -= 1
        if self._num_left == -1:
            raise Killed
