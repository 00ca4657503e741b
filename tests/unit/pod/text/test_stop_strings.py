"""Stop strings in a text that arrives in pieces, against a search of all that has arrived."""

from fakes.steps import num_steps
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.text.stop_strings import StopStrings


def searched(pieces, stops, *, is_kept):
    """Return what is shown after each piece, and the stop string, by searching the whole text."""
    text, shown = "", []
    for piece in pieces:
        text += piece
        found = [(text.find(stop), stop) for stop in stops if stop in text]
        if found:
            at, stop = min(found, key=lambda match: match[0])
            return [*shown, text[: at + len(stop) * is_kept]], stop
        held = max(
            (n for stop in stops for n in range(len(stop)) if text.endswith(stop[:n])), default=0
        )
        shown.append(text[: len(text) - held])
    return shown, None


def pushed(pieces, stops, *, is_kept):
    matcher, text, shown = StopStrings(stops), "", []
    for piece in pieces:
        text += matcher.push(piece, is_kept=is_kept)
        shown.append(text)
        if matcher.found is not None:
            break
    return shown, matcher.found


pieces = st.lists(st.text("abc", max_size=5), max_size=12)
stops = st.lists(st.text("abc", min_size=1, max_size=7), max_size=4)


@given(pieces, stops, st.booleans())
def test_what_is_shown_after_each_piece_is_what_a_search_of_the_text_shows(said, stops, is_kept):
    assert pushed(said, stops, is_kept=is_kept) == searched(said, stops, is_kept=is_kept)


@given(pieces, stops)
def test_nothing_is_lost_where_no_stop_string_comes(said, stops):
    matcher = StopStrings(stops)
    shown = "".join(matcher.push(piece, is_kept=False) for piece in said)
    if matcher.found is None:
        assert shown + matcher.finish() == "".join(said)


def test_a_long_stop_string_that_almost_matches_costs_no_more_for_each_character():
    def run(length):
        matcher = StopStrings(["a" * 255 + "b"])
        return num_steps(lambda: [matcher.push("a", is_kept=False) for _ in range(length)])

    assert run(4000) <= 11 * run(400)
