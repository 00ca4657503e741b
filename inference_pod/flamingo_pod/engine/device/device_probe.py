"""Ask a device whether it still works, while nothing else would notice that it does not."""

from collections.abc import Callable

import torch


def of_device(device: torch.device) -> Callable[[], None]:
    """Return a function that raises if the device is lost, and does not return if it hangs.

    On a GPU it runs one small kernel and waits for its result: errors of work that was launched
    before are found, too, and so is a GPU that has fallen off the bus. On a CPU it does nothing.
    """
    if device.type != "cuda":
        return lambda: None
    number = torch.zeros((), dtype=torch.int64, device=device)

    def probe() -> None:
        number.add_(1).item()

    return probe
