"""Shards: equal shares of a source, which together are all of it."""

import pytest

from flamingo.batch.items import Item, Malformed
from flamingo.batch.sources.path_list import PathList
from flamingo.batch.sources.shards import Shard, ShardSource, parse_shard
from flamingo_common.errors import BadRequest


class Lines:
    """Two questions about each of 500 clips, and a malformed line after each."""

    def items(self):
        for number in range(500):
            yield Item(f"a{number}", f"{number}.mp3")
            yield Item(f"b{number}", f"{number}.mp3")
            yield Malformed(f"l:{number}", "no")

    def fingerprint(self):
        return "lines"


def test_each_entry_is_in_exactly_one_shard_and_shards_are_about_equal():
    shards = [[*ShardSource(Lines(), Shard(index, 4)).items()] for index in range(4)]
    keys = [entry.key for shard in shards for entry in shard]
    assert sorted(keys) == sorted(entry.key for entry in Lines().items())
    assert all(250 < len(shard) < 500 for shard in shards)


def test_lines_about_one_clip_are_in_one_shard():
    for index in range(4):
        items = [one for one in ShardSource(Lines(), Shard(index, 4)).items() if one.key[0] != "l"]
        assert {one.key[1:] for one in items if one.key[0] == "a"} == {
            one.key[1:] for one in items if one.key[0] == "b"
        }


def test_a_file_that_is_added_moves_no_other():
    before = {one.key for one in ShardSource(PathList(["a", "b", "c"]), Shard(1, 3)).items()}
    after = {one.key for one in ShardSource(PathList(["0", "a", "b", "c"]), Shard(1, 3)).items()}
    assert after - {"0"} == before


def test_another_number_of_shards_is_another_batch():
    prints = {ShardSource(Lines(), Shard(0, num)).fingerprint() for num in (2, 3)}
    assert len(prints) == 2


def test_a_shard_is_counted_from_zero():
    assert parse_shard("0/8") == Shard(0, 8)
    assert parse_shard("7/8") == Shard(7, 8)


@pytest.mark.parametrize("text", ["8/8", "0/0", "1", "a/b", "-1/8", "1/100001", "1/"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(BadRequest):
        parse_shard(text)


def test_a_url_that_is_signed_again_stays_in_its_shard():
    def share(index, signature):
        urls = [f"https://h/{number}.mp3?sig={signature}" for number in range(20)]
        return [one.key for one in ShardSource(PathList(urls), Shard(index, 3)).items()]

    assert [share(index, "a") for index in range(3)] == [share(index, "b") for index in range(3)]
    assert sum(len(share(index, "a")) for index in range(3)) == 20
