"""The mode that forbids waiting for the device sees every way to do so."""

import numpy as np
import pytest
import torch
from fakes.host_synchronisation import HostSynchronisation, forbid_host_synchronisation

VALUES = torch.arange(4.0)
INDEX = torch.tensor(2)
COUNTS = torch.tensor([1, 0, 2, 1])
MASK = torch.tensor([True, False, False, True])
CPU = torch.device("cpu")

WAITS = {
    "tensor": lambda: torch.tensor([1, 2]),
    "new_tensor": lambda: VALUES.new_tensor([1, 2]),
    "as_tensor of a list": lambda: torch.as_tensor([1, 2]),
    "asarray of a list": lambda: torch.asarray([1, 2]),
    "item": INDEX.item,
    "tolist": VALUES.tolist,
    "cpu": VALUES.cpu,
    "numpy": VALUES.numpy,
    "an array of it": lambda: np.asarray(VALUES),
    "bool": lambda: bool(INDEX),
    "int": lambda: int(INDEX),
    "float": lambda: float(INDEX),
    "an if": lambda: 1 if INDEX else 2,
    "its text": lambda: f"{INDEX}",
    "its representation": lambda: repr(VALUES),
    "in": lambda: 3.0 in VALUES,
    "the largest by Python": lambda: max(VALUES),
    "an index of a list": lambda: [1, 2, 3][INDEX],
    "an index that is a number": lambda: VALUES[INDEX],
    "a slice up to it": lambda: VALUES[:INDEX],
    "a list as index": lambda: VALUES[[0, 1]],
    "a range as index": lambda: VALUES[range(2)],
    "an array as index": lambda: VALUES[np.array([0, 1])],
    "a list in an index": lambda: VALUES.view(2, 2)[:, [0]],
    "assignment to a list": lambda: VALUES.clone().__setitem__([0, 1], 1.0),
    "a mask as index": lambda: VALUES[MASK],
    "assignment to a mask": lambda: VALUES.clone().__setitem__(MASK, 1.0),
    "index_put with a mask": lambda: VALUES.clone().index_put_((MASK,), INDEX.float()),
    "masked_select": lambda: VALUES.masked_select(MASK),
    "nonzero": MASK.nonzero,
    "argwhere": MASK.argwhere,
    "where of a condition": lambda: torch.where(MASK),
    "unique": VALUES.unique,
    "unique_consecutive": VALUES.unique_consecutive,
    "bincount": COUNTS.bincount,
    "repeat_interleave": lambda: VALUES.repeat_interleave(COUNTS),
    "equal": lambda: torch.equal(VALUES, VALUES),
    "allclose": lambda: torch.allclose(VALUES, VALUES),
    "to the host": lambda: VALUES.to("cpu"),
    "to the host by keyword": lambda: VALUES.to(device="cpu", non_blocking=True),
    "to a device": lambda: VALUES.to(CPU),
    "to a device by keyword": lambda: VALUES.to(device=CPU),
    "to the device of another": lambda: VALUES.to(COUNTS.device, torch.float64),
}

DOES_NOT_WAIT = {
    "from_numpy": lambda: torch.from_numpy(np.arange(3)),
    "to without waiting": lambda: VALUES.to(CPU, non_blocking=True),
    "another type": lambda: VALUES.to(torch.float64),
    "an index tensor": lambda: VALUES[COUNTS],
    "assignment to an index tensor": lambda: VALUES.clone().__setitem__(COUNTS, 1.0),
    "a slice": lambda: VALUES[1:3],
    "a new axis": lambda: VALUES[None, :],
    "where": lambda: VALUES.where(MASK, -1.0),
    "masked_fill": lambda: VALUES.masked_fill(MASK, 0.0),
    "topk": lambda: VALUES.topk(2),
    "shape and device": lambda: (VALUES.shape, VALUES.device, len(VALUES)),
}


@pytest.mark.parametrize("act", WAITS.values(), ids=WAITS)
def test_what_waits_is_forbidden(act):
    with pytest.raises(HostSynchronisation), forbid_host_synchronisation():
        act()
    act()


@pytest.mark.parametrize("act", DOES_NOT_WAIT.values(), ids=DOES_NOT_WAIT)
def test_what_does_not_wait_is_allowed(act):
    with forbid_host_synchronisation():
        act()


def test_inference_mode_changes_nothing():
    with torch.inference_mode(), forbid_host_synchronisation(), pytest.raises(HostSynchronisation):
        (VALUES * 2).sum().item()
