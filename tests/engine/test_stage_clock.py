"""Stages are measured where they run, and added once they have ended there."""

import pytest
import torch

from flamingo_pod.engine.device.stage_clock import StageClock


class Device:
    """A device that does what is launched later: when `run` is called."""

    def __init__(self):
        self.now_s, self.marks = 0.0, []

    def mark(self):
        self.marks.append(made := DeviceMark())
        return made

    def run(self, num_marks, seconds):
        """Reach the next marks, each so many seconds after the one before."""
        for each in [one for one in self.marks if one.at_s is None][:num_marks]:
            self.now_s += seconds
            each.at_s = self.now_s


class DeviceMark:
    at_s = None

    def has_passed(self):
        return self.at_s is not None

    def seconds_since(self, earlier):
        return self.at_s - earlier.at_s


def test_a_stage_is_added_when_the_device_has_finished_it():
    device, added = Device(), []
    clock = StageClock(device.mark)
    with clock.stage(added.append):
        pass
    clock.settle()
    assert added == []
    device.run(1, seconds=2.0)
    clock.settle()
    assert added == []
    device.run(1, seconds=3.0)
    clock.settle()
    clock.settle()
    assert added == [3.0]


def test_stages_are_added_in_order_and_a_later_one_waits_for_its_turn():
    device, first, second = Device(), [], []
    clock = StageClock(device.mark)
    for added in (first, second):
        with clock.stage(added.append):
            pass
    device.run(3, seconds=1.0)
    clock.settle()
    assert (first, second) == ([1.0], [])
    device.run(1, seconds=4.0)
    clock.settle()
    assert (first, second) == ([1.0], [4.0])


def test_a_stage_that_fails_is_not_added():
    device, added = Device(), []
    clock = StageClock(device.mark)
    with pytest.raises(RuntimeError, match="this stage fails"), clock.stage(added.append):
        raise RuntimeError("this stage fails")
    device.run(2, seconds=1.0)
    clock.settle()
    assert added == []


def test_on_a_cpu_a_stage_is_over_when_it_was_launched():
    added = []
    clock = StageClock.of_device(torch.device("cpu"))
    with clock.stage(added.append):
        pass
    clock.settle()
    assert len(added) == 1
