"""How well three routers together hold a key's limit, by how its requests are spread over them.

`python tests/bench/quota_replicas.py` takes seven minutes and prints a table: what was admitted, in
parts of the limit, after the first minute's worth was used up. The routers are processes before a
scripted pod, and the client asks three times as often as the limit allows.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes.routers import CAPTIONS, CHAT, QUESTION, caption_of
from fakes.sharing_routers import sharing_routers

from flamingo_common.service import keys

KEY, OBSERVER = "fk-client", "fk-observer"
NUM_ROUTERS = 3
REQUESTS_PER_MINUTE = 300
AUDIO_S_PER_MINUTE = 3000
CLIP_S = 10
DEMAND = 3.0
"""Times the limit."""
MEASURED_S = 30.0
ALTERNATE_S = 5.0
EXCHANGE_S = 0.15
"""Shorter than the time in which a limit of five requests a second admits the next one."""
LIMITS = {
    "requests": ({"requests_per_minute": REQUESTS_PER_MINUTE}, CHAT, QUESTION),
    "audio": ({"audio_seconds_per_minute": AUDIO_S_PER_MINUTE}, CAPTIONS, caption_of(CLIP_S)),
}
SPREADS = {
    "evenly": lambda number, _: number % NUM_ROUTERS,
    "all to one": lambda _number, _: 0,
    "to one after the other": lambda _, now_s: int(now_s / ALTERNATE_S) % NUM_ROUTERS,
}


def write_keys(folder: Path, limits: dict[str, int]) -> Path:
    entries = [
        {"name": "client", "sha256": keys.digest_of(KEY), "may": ["infer"]} | limits,
        {"name": "observer", "sha256": keys.digest_of(OBSERVER), "may": ["observe"]},
    ]
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return path


class Client:
    """Sends the requests of one limit."""

    def __init__(self, session: aiohttp.ClientSession, kind: str) -> None:
        self._session = session
        _, self._path, self._body = LIMITS[kind]

    async def is_admitted(self, address: str) -> bool:
        async with self._session.post(address + self._path, json=self._body) as response:
            await response.read()
            return response.status == 200

    async def use_up(self, addresses: list[str]) -> None:
        """Send requests to all routers, until none was admitted for the time of an exchange."""
        refused_s = time.monotonic()
        while time.monotonic() - refused_s < EXCHANGE_S:
            if any(await asyncio.gather(*(self.is_admitted(one) for one in addresses))):
                refused_s = time.monotonic()


async def admitted(addresses: list[str], kind: str, spread: str) -> float:
    """Return what was admitted after the first minute's worth, in parts of the limit."""
    per_s = REQUESTS_PER_MINUTE / 60
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        client = Client(session, kind)
        await client.use_up(addresses)
        started_s, asked = time.monotonic(), []
        while (now_s := time.monotonic() - started_s) < MEASURED_S:
            address = addresses[SPREADS[spread](len(asked), now_s)]
            asked.append(asyncio.create_task(client.is_admitted(address)))
            await asyncio.sleep(max(len(asked) / (DEMAND * per_s) - now_s, 0))
        return sum(await asyncio.gather(*asked)) / (per_s * MEASURED_S)


def rows() -> Iterator[str]:
    for kind, (limits, _, _) in LIMITS.items():
        for spread in SPREADS:
            ratios = []
            for is_divided in (True, False):
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    path = write_keys(folder, limits)
                    with sharing_routers(
                        folder, NUM_ROUTERS, key_file=path, key=OBSERVER, is_divided=is_divided
                    ) as routers:
                        addresses = [router.address for router in routers]
                        ratios.append(asyncio.run(admitted(addresses, kind, spread)))
            divided, shared = ratios
            yield f"| {kind} | {spread} | {divided:.2f} | {shared:.2f} |"


def main() -> None:
    print("| limit of | requests go | a share each | together |")
    print("| --- | --- | ---: | ---: |")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
